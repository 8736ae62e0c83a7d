// The records of an open blob in memory: found, rejected, cleared, and those that another process wrote.
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { CHUNK_SIZE, ChunkMap } from '../../../daemon/blob/chunk-map.js';
import { Claims } from '../../../daemon/cache/claims.js';
import {
  encodeHeader,
  RecordFormat,
  recordPosition,
  stateFileSize,
} from '../../../daemon/cache/state-file.js';

const SIZE = 4 * CHUNK_SIZE;
const about = { digest: `sha256:${'ab'.repeat(32)}`, nonce: '0123456789abcdef' };

/** Of a state file with records of chunks 1 and 2. */
function setUp(t: Test): { claims: Claims; fd: number; map: ChunkMap } {
  const bytes = Buffer.alloc(stateFileSize(SIZE));
  bytes.set(encodeHeader({ ...about, size: SIZE }));
  const format = new RecordFormat(about);
  for (const chunk of [1, 2]) format.encode(100 + chunk).copy(bytes, recordPosition(chunk));
  const path = join(t.testdir(), 'state');
  writeFileSync(path, bytes);
  const fd = openSync(path, 'r+');
  t.teardown(() => closeSync(fd));
  const state = { path, fd, size: bytes.length };
  const claims = new Claims(about.digest, { state, nonce: about.nonce, bytes });
  return { claims, fd, map: ChunkMap.create(SIZE) };
}

const all = (claims: Claims, fd: number): number[] =>
  [0, 1, 2, 3].map((chunk) => claims.of(chunk, fd));

await test('what the file says, and what was stored since', (t) => {
  const { claims, fd, map } = setUp(t);
  t.same(all(claims, fd), [-1, 101, 102, -1]);
  t.equal(claims.next(0, 3, map), 1);
  t.equal(claims.next(0, 0, map), -1);
  map.set(1);
  t.equal(claims.next(0, 3, map), 2);
  t.equal(claims.next(3, 3, map), -1);
  writeSync(fd, claims.format.encode(103), 0, 8, recordPosition(3));
  t.same(all(claims, fd), [-1, 101, 102, 103], 'by another process');
  t.end();
});

await test('a record that is wrong counts as none, until there is another one', (t) => {
  const { claims, fd, map } = setUp(t);
  claims.reject(1, 101);
  t.same(all(claims, fd), [-1, -1, 102, -1]);
  t.equal(claims.next(0, 3, map), 2);
  const record = claims.format.encode(201);
  writeSync(fd, record, 0, 8, recordPosition(1));
  t.equal(claims.of(1, fd), 201);
  claims.stored(1, record);
  t.equal(claims.next(0, 3, map), 1);
  t.end();
});

await test('what is cleared is gone', (t) => {
  const { claims, fd, map } = setUp(t);
  claims.reject(2, 102);
  claims.cleared(1, 2);
  t.equal(claims.next(0, 3, map), -1);
  t.equal(claims.of(2, fd), 102, 'the file is what counts, and it still has it');
  t.end();
});
