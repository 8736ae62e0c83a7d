// Objects are found by their digests, however many there are, and whatever a hostile image has.
import { test } from 'tap';
import { DigestIndex } from '../../../daemon/composefs/digest-index.js';
import { VERITY_DIGEST } from '../../../daemon/composefs/fs-verity.js';
import { randomBytes } from '../../support/pattern.js';

interface Filled {
  index: DigestIndex;
  digests: Buffer;
  lengths: Float64Array;
  find: (entry: number, length?: number) => number;
}

function filled(digests: Buffer): Filled {
  const count = digests.length / VERITY_DIGEST;
  const lengths = Float64Array.from({ length: count }, (_, i) => i);
  const index = new DigestIndex();
  for (let entry = 0; entry < count; entry++) index.add(entry, digests);
  const find = (entry: number, length = entry): number =>
    index.find(digests, entry * VERITY_DIGEST, length, digests, lengths);
  return { index, digests, lengths, find };
}

await test('all are found, each with its own length', (t) => {
  const count = 50_000;
  const { find } = filled(randomBytes(1, count * VERITY_DIGEST));
  const wrong = Array.from({ length: count }, (_, i) => i).filter((i) => find(i) !== i);
  t.same(wrong, []);
  t.equal(find(7, 8), -1);
  t.end();
});

await test('digests that are not there', (t) => {
  const { index, digests, lengths } = filled(randomBytes(1, 100 * VERITY_DIGEST));
  const other = randomBytes(2, VERITY_DIGEST);
  t.equal(index.find(other, 0, 5, digests, lengths), -1);
  // Only its last byte differs.
  const close = Buffer.from(digests.subarray(0, VERITY_DIGEST));
  close[VERITY_DIGEST - 1] = (close[VERITY_DIGEST - 1] as number) ^ 1;
  t.equal(index.find(close, 0, 0, digests, lengths), -1);
  t.end();
});

await test('digests that begin alike take no longer: most of them are not found again', (t) => {
  const count = 300_000;
  const digests = Buffer.alloc(count * VERITY_DIGEST);
  for (let i = 0; i < count; i++) digests.writeUInt32LE(i, i * VERITY_DIGEST + 8);
  const { find } = filled(digests);
  const found = Array.from({ length: count }, (_, i) => find(i)).filter((entry) => entry >= 0);
  t.same(
    found,
    Array.from({ length: 64 }, (_, i) => i),
  );
  t.end();
});
