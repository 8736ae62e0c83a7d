// The tests that every blob source must pass, as a function: a new source calls it once and has them all.
import { test, type Test } from 'tap';
import { readFully, type BlobSource } from '../../daemon/blob/source.js';
import { OverlaybdError } from '../../daemon/errors.js';
import { readLoaded } from '../../daemon/lib/loaded.js';
import { randomBytes, textBytes } from '../support/pattern.js';

/** Not a multiple of sectors or blocks, and more than one run of blocks or chunk of a load. */
const SIZE = (1 << 20) + 70_001;
/** Compressible and incompressible bytes, with zeros in between. */
export const PLAIN = Buffer.concat([
  textBytes(1, 300_000),
  randomBytes(2, 300_000),
  Buffer.alloc(100_000),
  textBytes(3, SIZE - 700_000),
]);

export interface SourceUnderTest {
  readonly source: BlobSource;
  /** How stored bytes are lost and come back; absent if the source cannot lose bytes. */
  readonly loss?: {
    /** Loses the last plain byte, and at most 1000 bytes with it. */
    readonly cut: () => void;
    /** Loses all bytes. */
    readonly all: () => void;
    readonly repair: () => void;
  };
}

const GUARD = 0x6b;

/** Reads into the middle of a buffer and checks that the bytes around it are unchanged. */
async function readExactly(source: BlobSource, offset: number, length: number): Promise<Buffer> {
  const dst = Buffer.alloc(length + 32, GUARD);
  await readLoaded(source, offset, length, () => source.read(offset, length, dst, 16));
  const guards = Buffer.concat([dst.subarray(0, 16), dst.subarray(16 + length)]);
  if (!guards.equals(Buffer.alloc(32, GUARD))) throw new Error(`${offset}+${length}: overrun`);
  return dst.subarray(16, 16 + length);
}

const plainAt = (offset: number, length: number): Buffer => PLAIN.subarray(offset, offset + length);

/**
 * Tests a kind of source. @param make returns a new source whose plain bytes are {@link PLAIN}; it closes with
 * `t.teardown` what it opens
 */
export async function blobSourceSuite(
  name: string,
  make: (t: Test) => SourceUnderTest | Promise<SourceUnderTest>,
): Promise<void> {
  await test(name, async (t) => {
    await t.test('a source has a name and a size', async (each) => {
      const { source } = await make(each);
      each.equal(source.size, SIZE);
      each.ok(source.name.length > 0);
    });

    await t.test('reads return exact bytes at every alignment', async (each) => {
      const { source } = await make(each);
      each.ok((await readExactly(source, 0, SIZE)).equals(PLAIN), 'the whole source');
      let wrong = 0;
      const places = [0, 1, 511, 512, 4095, 4096, 4097, 65_535, 65_536, 262_144, 700_000];
      for (const offset of [...places, SIZE - 4097]) {
        for (const length of [0, 1, 2, 511, 512, 513, 4096, 4097]) {
          if (!(await readExactly(source, offset, length)).equals(plainAt(offset, length))) wrong++;
        }
      }
      for (let back = 1; back < 600; back += 7) {
        if (!(await readExactly(source, SIZE - back, back)).equals(PLAIN.subarray(SIZE - back)))
          wrong++;
      }
      each.equal(wrong, 0);
      each.equal((await readExactly(source, SIZE, 0)).length, 0, 'an empty read at the end');
    });

    await t.test('many reads at the same time', async (each) => {
      const { source } = await make(each);
      const offsets = Array.from({ length: 40 }, (_, i) => (i * 99_991) % (SIZE - 5000));
      const read = await Promise.all(offsets.map((offset) => readExactly(source, offset, 5000)));
      each.ok(read.every((bytes, i) => bytes.equals(plainAt(offsets[i] as number, 5000))));
    });

    await t.test('reads past the end are errors, and show no neighbouring bytes', async (each) => {
      const { source } = await make(each);
      for (const [offset, length] of [
        [SIZE, 1],
        [SIZE - 1, 2],
        [0, SIZE + 1],
        [2 ** 45, 512],
      ] as const) {
        await each.rejects(
          async () => source.read(offset, length, Buffer.alloc(length), 0),
          { code: /^(SHORT_READ|BAD_DATA)$/ },
          `${length} at ${offset}`,
        );
      }
      each.ok(
        (await readExactly(source, SIZE - 5, 5)).equals(PLAIN.subarray(-5)),
        'the source still works',
      );
    });

    await t.test('after ensure() the range is there; null if it is local', async (each) => {
      const { source } = await make(each);
      for (const [offset, length] of [
        [0, 0],
        [0, 1],
        [0, SIZE],
        [SIZE - 1, 1],
        [4095, 2],
        [SIZE, 0],
      ] as const) {
        const wait = source.ensure(offset, length);
        if (source.isLocal) each.equal(wait, null, `${length} at ${offset}`);
        await wait;
        each.ok((await readExactly(source, offset, length)).equals(plainAt(offset, length)));
      }
    });

    await t.test('after load() a read does not block', async (each) => {
      const { source } = await make(each);
      for (const [offset, length] of [
        [0, SIZE],
        [1000, 5000],
        [SIZE - 1, 1],
        [0, 0],
      ] as const) {
        await source.ensure(offset, length);
        await source.load(offset, length);
        const bytes = await readExactly(source, offset, length);
        each.ok(bytes.equals(plainAt(offset, length)), `${length} at ${offset}`);
      }
    });

    await t.test('prefetch() does not change the bytes that are read', async (each) => {
      const { source } = await make(each);
      await source.prefetch(0, SIZE);
      await source.prefetch(SIZE - 1, 1);
      each.ok((await readExactly(source, 300_000, 9000)).equals(plainAt(300_000, 9000)));
    });

    await t.test('readFully() waits as long as it must', async (each) => {
      const { source } = await make(each);
      each.ok((await readFully(source, 4000, 9000)).equals(PLAIN.subarray(4000, 13_000)));
      for (const [offset, length] of [
        [SIZE, 1],
        [-1, 1],
        [0, SIZE + 1],
      ] as const) {
        await each.rejects(readFully(source, offset, length), { code: 'SHORT_READ' });
      }
    });

    await t.test('bytes outside the runs of data are zeros', async (each) => {
      const { source } = await make(each);
      if (!source.dataRuns) {
        each.pass('a source without `dataRuns` has no holes', { skip: true });
        return;
      }
      for (let at = 0; at < SIZE;) {
        const { runs, end } = (await source.dataRuns(at, SIZE - at)) ?? {
          runs: Float64Array.of(at, SIZE),
          end: SIZE,
        };
        each.ok(end > at, 'the answer covers at least one byte');
        for (let i = 0; i <= runs.length; i += 2) {
          const hole = plainAt(at, (runs[i] ?? end) - at);
          each.ok(hole.equals(Buffer.alloc(hole.length)), `a hole at ${at}`);
          at = Math.max(at, runs[i + 1] ?? end);
        }
        at = Math.max(at, end);
      }
    });

    await t.test('lost bytes are an error until they are back', async (each) => {
      const { source, loss } = await make(each);
      if (!loss) {
        each.pass('no bytes of this source can be lost', { skip: true });
        return;
      }
      loss.cut();
      await each.rejects(readExactly(source, SIZE - 1, 1), { code: 'SHORT_READ' });
      await each.rejects(readExactly(source, 0, SIZE), { code: 'SHORT_READ' });
      await each.rejects(source.load(SIZE - 1000, 1000), { code: 'SHORT_READ' });
      await each.rejects(source.load(0, SIZE), { code: 'SHORT_READ' });
      each.ok(
        (await readExactly(source, 0, 4096)).equals(plainAt(0, 4096)),
        'the other bytes are readable',
      );
      loss.all();
      await each.rejects(source.load(0, 10), { code: 'SHORT_READ' });
      await each.rejects(readExactly(source, 200_000, 10_000), OverlaybdError);
      loss.repair();
      each.ok((await readExactly(source, 0, SIZE)).equals(PLAIN));
      each.ok((await readExactly(source, SIZE - 1, 1)).equals(PLAIN.subarray(-1)));
    });
  });
}
