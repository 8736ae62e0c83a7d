// Lookup in indexes of many unevenly distributed segments, compared with a linear search.
import * as fc from 'fast-check';
import { test } from 'tap';
import type { LsmtIndex } from '../../daemon/lsmt/merged-index.js';
import { seededRandom } from '../support/pattern.js';
import { SEED } from '../support/seed.js';
import { indexOf as pack, type Row } from '../support/segments.js';
import { holds } from '../support/holds.js';

fc.configureGlobal({ seed: SEED });

const SECTOR = 512;

/** Runs of segments that are close together, and the gaps between the runs. */
const shape = fc.record({
  seed: fc.integer({ min: 1, max: 2 ** 30 }),
  runs: fc.array(
    fc.record({
      gap: fc.oneof(
        fc.constant(0),
        fc.integer({ min: 1, max: 5000 }),
        fc.integer({ min: 2 ** 30, max: 2 ** 34 }),
      ),
      // Below, at and above the number of segments that are searched linearly.
      segments: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 100, max: 600 })),
      spread: fc.constantFrom(1, 2, 64),
    }),
    { minLength: 1, maxLength: 6 },
  ),
  /** Sectors of the disk after the last segment. */
  rest: fc.oneof(fc.constant(0), fc.constant(1), fc.integer({ min: 2, max: 2 ** 35 })),
});

type Shape = typeof shape extends fc.Arbitrary<infer T> ? T : never;

/** Segments in sectors, as the test sees them. */
interface Plain {
  readonly begins: number[];
  readonly ends: number[];
  readonly sectors: number;
}

function plainOf({ seed, runs, rest }: Shape): Plain {
  const next = seededRandom(seed);
  const begins: number[] = [];
  const ends: number[] = [];
  let at = 0;
  for (const { gap, segments, spread } of runs) {
    at += gap;
    for (let i = 0; i < segments; i++) {
      at += (next() >>> 8) % spread;
      begins.push(at);
      at += 1 + ((next() >>> 8) % spread);
      ends.push(at);
    }
  }
  return { begins, ends, sectors: at + rest };
}

function indexOf({ begins, ends, sectors }: Plain): LsmtIndex {
  const rows = begins.map((begin, i): Row => [begin, (ends[i] as number) - begin, 8 + 2 * begin]);
  return pack(rows, sectors * SECTOR);
}

/** Sectors where the answer changes, and the ends of the disk. */
function edgesOf({ begins, ends, sectors }: Plain): number[] {
  const edges = [...begins, ...ends].flatMap((sector) => [sector - 1, sector]);
  const inOrder = [0, ...edges, sectors - 1].filter((sector) => sector >= 0 && sector < sectors);
  return inOrder.toSorted((a, b) => a - b);
}

await test('every edge of every segment is found from any hint', async (t) => {
  await holds(
    t,
    fc.property(shape, (description) => {
      const plain = plainOf(description);
      const index = indexOf(plain);
      const next = seededRandom(description.seed + 1);
      const { ends } = plain;
      let expected = 0;
      let last = 0;
      for (const sector of edgesOf(plain)) {
        while (expected < ends.length && (ends[expected] as number) <= sector) expected++;
        const anywhere = next() % (ends.length + 1);
        for (const hint of [last, 0, ends.length, anywhere, Math.max(0, expected - 1), expected]) {
          const found = index.find(sector, hint);
          if (found !== expected) {
            throw new Error(`sector ${sector} from ${hint}: ${found}, expected ${expected}`);
          }
        }
        last = expected;
      }
    }),
    { numRuns: 400 },
  );
});

await test('an index takes at most 17 bytes a segment, and 16 for each 2^31 sectors', async (t) => {
  await holds(
    t,
    fc.property(shape, (description) => {
      const plain = plainOf(description);
      const { data, count } = indexOf(plain);
      const arrays = Object.values(data).filter((part) => part instanceof Uint32Array);
      const bytes = arrays.reduce((sum, { byteLength }) => sum + byteLength, 0);
      return bytes <= 17 * count + 16 * Math.ceil(plain.sectors / 2 ** 31) + 32;
    }),
    { numRuns: 200 },
  );
});
