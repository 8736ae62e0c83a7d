// What the chunks of a blob were when it was read as a whole.
import { createHash } from 'node:crypto';
import { test } from 'tap';
import {
  CHUNK_DIGEST_SIZE,
  ChunkDigester,
  ChunkDigests,
  chunkDigestsSize,
} from '../../../daemon/blob/chunk-digests.js';
import { CHUNK_SIZE } from '../../../daemon/blob/chunk-map.js';
import { randomBytes } from '../../support/pattern.js';

const bytes = randomBytes(5, 2 * CHUNK_SIZE + 77);
const chunkOfBytes = (chunk: number): Buffer =>
  bytes.subarray(chunk * CHUNK_SIZE, (chunk + 1) * CHUNK_SIZE);

function digestsIn(steps: readonly number[]): ChunkDigests {
  const digester = new ChunkDigester(bytes.length);
  let at = 0;
  for (const step of steps) digester.update(bytes.subarray(at, (at += step)));
  digester.update(bytes.subarray(at));
  return digester.digests;
}

await test('16 bytes of the SHA-256 of each chunk, however the bytes come', (t) => {
  const digests = digestsIn([]);
  t.equal(digests.bytes.length, 3 * CHUNK_DIGEST_SIZE);
  for (let chunk = 0; chunk < 3; chunk++) {
    const sha256 = createHash('sha256').update(chunkOfBytes(chunk)).digest('hex');
    t.equal(digests.expected(chunk), sha256.slice(0, 32));
    t.equal(digests.mismatch(chunk, chunkOfBytes(chunk)), null);
  }
  for (const steps of [
    [1, 2, CHUNK_SIZE],
    [CHUNK_SIZE, CHUNK_SIZE - 1, 1, 0, 76],
    [CHUNK_SIZE + 1],
  ]) {
    t.ok(digestsIn(steps).equals(digests), steps.join());
  }
  t.end();
});

await test('other bytes are not those of the chunk', (t) => {
  const digests = digestsIn([]);
  const other = Buffer.from(chunkOfBytes(1));
  other[CHUNK_SIZE - 1] = (other[CHUNK_SIZE - 1] as number) ^ 1;
  const sha256 = createHash('sha256').update(other).digest('hex');
  t.equal(digests.mismatch(1, other), sha256.slice(0, 32));
  t.type(digests.mismatch(0, chunkOfBytes(1)), 'string', 'those of another chunk');
  t.type(digests.mismatch(2, chunkOfBytes(2).subarray(1)), 'string', 'a part of them');
  t.notOk(digests.equals(new ChunkDigests(new Uint8Array(new SharedArrayBuffer(48)))));
  t.end();
});

await test('there are none before all bytes have come, and no bytes after that', (t) => {
  const digester = new ChunkDigester(10);
  digester.update(Buffer.alloc(9));
  t.throws(() => digester.digests, /9 bytes of 10/);
  digester.update(Buffer.alloc(1));
  t.equal(digester.digests.bytes.length, 16);
  t.throws(() => digester.update(Buffer.alloc(1)), /past the end/);
  t.equal(new ChunkDigester(0).digests.bytes.length, 0);
  t.equal(chunkDigestsSize(2 ** 30), 256 << 10);
  t.end();
});
