// Whether the bytes of a chunk are right: those that come, and those that a file has.
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import type { CachedSpec } from '../../../daemon/blob/cached-source.js';
import { ChunkDigester, type ChunkDigests } from '../../../daemon/blob/chunk-digests.js';
import { CHUNK_SIZE, ChunkMap } from '../../../daemon/blob/chunk-map.js';
import { checkChunk, compareChunk } from '../../../daemon/cache/chunk-check.js';
import { EISDIR } from '../../../daemon/lib/errno.js';
import { crc32c } from '../../../daemon/native/crc32c.js';
import { randomBytes } from '../../support/pattern.js';

const SEED = 7;
const bytes = randomBytes(3, CHUNK_SIZE + 100);
const last = bytes.subarray(CHUNK_SIZE);
const crc = crc32c(last, 0, last.length, SEED);

function digestsOf(content: Buffer): ChunkDigests {
  const digester = new ChunkDigester(content.length);
  digester.update(content);
  return digester.digests;
}

function specOf(t: Test, content: Buffer): CachedSpec {
  const path = join(t.testdir(), 'data');
  writeFileSync(path, content);
  const fd = openSync(path, 'r');
  t.teardown(() => closeSync(fd));
  const { length: size } = bytes;
  const { state } = ChunkMap.create(size);
  return {
    kind: 'cached',
    name: 'r/app@x',
    digest: 'sha256:x',
    size,
    blob: 1,
    fd,
    slotsFd: fd,
    state,
  };
}

await test('bytes that come', (t) => {
  const spec = specOf(t, bytes);
  const digests = digestsOf(bytes);
  checkChunk(digests, spec, 1, last);
  const wrong = Buffer.from(last);
  wrong[99] = (wrong[99] as number) ^ 1;
  const [expected, got] = [digests.expected(1), digests.mismatch(1, wrong)];
  t.throws(() => checkChunk(digests, spec, 1, wrong), {
    code: 'BAD_CHECKSUM',
    message: `r/app@x: chunk 1 (bytes 65536-65635): expected SHA-256 ${expected}... as when all ${spec.size} bytes of the layer were read, got ${got}...`,
    facts: { digest: 'sha256:x', range: '65536-65635', expected, got },
  });
  t.end();
});

await test('bytes that a file has', async (t) => {
  const spec = specOf(t, bytes);
  const record = { crc, seed: SEED };
  t.equal(await compareChunk(spec, 1, record, null), 0);
  t.equal(await compareChunk(spec, 1, record, digestsOf(bytes)), 0);
  t.equal(await compareChunk(spec, 1, { crc: crc ^ 1, seed: SEED }, null), 1, 'another CRC');
  const other = Buffer.concat([bytes.subarray(0, CHUNK_SIZE), Buffer.alloc(100)]);
  t.equal(await compareChunk(spec, 1, record, digestsOf(other)), 1, 'another digest');
  const folder = openSync(t.testdirName, 'r');
  t.teardown(() => closeSync(folder));
  const failed = await compareChunk({ ...spec, fd: folder }, 1, record, null);
  t.equal(failed, -EISDIR);
});
