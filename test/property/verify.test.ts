// verify reports damaged bytes at any place, and its report is consistent.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { MAX_LISTED } from '../../daemon/inspect/problem-list.js';
import { verifyImage } from '../../daemon/inspect/verify-image.js';
import { usualOrLong } from '../support/long-tests.js';
import { writeLsmt } from '../support/lsmt-writer.js';
import { randomBytes, seededRandom, textBytes } from '../support/pattern.js';
import { wrapTar } from '../support/tar-writer.js';
import { writeZfile } from '../support/zfile-writer.js';

const layer = (seed: number): Buffer =>
  writeLsmt({
    virtualSize: 1 << 20,
    segments: [
      { offset: seed, length: 300, data: textBytes(seed, 300 * 512) },
      { offset: 1000, length: 10, zeroed: true },
      { offset: 1100, length: 100, data: randomBytes(seed, 100 * 512) },
    ],
  });

/** How many of each of four kinds. */
const PLACES = usualOrLong(60, 150);

/** Places in headers, tables and trailers, where every byte matters, and some others. */
function interesting(bytes: Buffer, next: () => number): number[] {
  const places: number[] = [];
  for (let i = 0; i < PLACES; i++) {
    places.push(next() % 512);
    places.push(bytes.length - 1 - (next() % 5000));
    places.push(next() % bytes.length);
    places.push(next() % 4400);
  }
  return places;
}

await t.test('damaged bytes at any place make a consistent report', async (test) => {
  const kinds: Record<string, Buffer> = {
    plain: layer(1),
    lz4: writeZfile(layer(2)),
    'zstd without checksums': writeZfile(layer(3), { algorithm: 'zstd', verify: false }),
    tar: wrapTar(writeZfile(layer(4), { mode: 'trailer' }), { pax: true }),
  };
  const next = seededRandom(7);
  const { signal } = new AbortController();
  const path = join(test.testdir(), 'blob');
  for (const [kind, good] of Object.entries(kinds)) {
    const places = interesting(good, next);
    for (const at of places) {
      const bytes = Buffer.from(good);
      const length = 1 + (next() % 8);
      for (let i = at; i < Math.min(at + length, bytes.length); i++) bytes[i] = next();
      writeFileSync(path, next() % 8 === 0 ? bytes.subarray(0, at) : bytes);
      // Given twice, so that it cannot be taken for a raw disk image.
      const report = await verifyImage([path, path], { signal, progress: () => undefined });
      const listed = Math.min(report.problemCount, MAX_LISTED);
      const said = report.good === (report.problemCount === 0) && report.problems.length === listed;
      if (!said || report.problems.some(({ message }) => message.length > 2000)) {
        test.fail(`${kind}: the report is inconsistent with a damaged byte at ${at}`);
      }
    }
    test.pass(`${kind}: ${places.length} damaged blobs, each with a report`);
  }
});
