// A source that hashes what is read of it: each byte once, in order, also where a reader skips or repeats.
import { createHash } from 'node:crypto';
import { test } from 'tap';
import { ChunkDigester } from '../../../daemon/blob/chunk-digests.js';
import { CHUNK_SIZE } from '../../../daemon/blob/chunk-map.js';
import { HashedSource } from '../../../daemon/blob/hashed-source.js';
import { readFully } from '../../../daemon/blob/source.js';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { MemorySource } from '../../support/memory-source.js';
import { randomBytes } from '../../support/pattern.js';

const bytes = randomBytes(1, 3_000_000);
const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

const READS: [what: string, ranges: [offset: number, length: number][]][] = [
  ['nothing', []],
  ['all of it', [[0, bytes.length]]],
  [
    'parts that overlap',
    [
      [0, 100],
      [50, 100],
      [0, 10],
      [149, 1000],
    ],
  ],
  [
    'parts with bytes between them that are skipped',
    [
      [0, 8],
      [2_000_000, 8],
      [1_000_000, 8],
      [2_999_000, 1000],
    ],
  ],
];

for (const [what, ranges] of READS) {
  await test(`${what}: the digest is that of all bytes`, async (t) => {
    const source = new HashedSource(new MemorySource(bytes), UNBOUNDED, false, true);
    for (const [offset, length] of ranges) {
      t.ok(
        (await readFully(source, offset, length)).equals(bytes.subarray(offset, offset + length)),
      );
    }
    t.equal(await source.digest(), digest);
    const digester = new ChunkDigester(bytes.length);
    digester.update(bytes);
    t.ok(source.chunks?.equals(digester.digests), 'and those of all chunks');
  });
}

await test('a source that is doubted is fetched again, each chunk once', async (t) => {
  const inner = new MemorySource(bytes);
  const doubted: [number, number][] = [];
  const distrust = (offset: number, length: number): boolean => {
    doubted.push([offset, length]);
    return true;
  };
  const source = new HashedSource(Object.assign(inner, { distrust }), UNBOUNDED, true);
  await readFully(source, 0, 10);
  await readFully(source, 5, 10);
  await readFully(source, CHUNK_SIZE, 10);
  t.same(doubted, [
    [0, CHUNK_SIZE],
    [CHUNK_SIZE, CHUNK_SIZE],
  ]);
  t.equal(await source.digest(), digest);
  t.equal(
    doubted.reduce((sum, [, length]) => sum + length, 0),
    bytes.length,
  );
});

await test('bytes that are only hashed are reported to the effort, which may end the work', async (t) => {
  const told: number[] = [];
  let units = 0;
  const effort = {
    ...UNBOUNDED,
    spend: (n: number): void => {
      units += n;
      if (units > 40_000) throw new Error('too much');
    },
    progress: (at: number, size: number): void => {
      t.equal(size, bytes.length);
      told.push(at);
    },
  };
  const source = new HashedSource(new MemorySource(bytes), effort);
  await readFully(source, 0, 100);
  await t.rejects(source.digest(), { message: 'too much' });
  t.same(told, [100, 100 + (1 << 20)]);
});
