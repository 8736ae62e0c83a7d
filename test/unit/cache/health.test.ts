// Whether the files can be written: what is logged, and when a disk that failed is tried again.
import { test } from 'tap';
import { Health } from '../../../daemon/cache/health.js';
import { silentLog } from '../../support/cached-blobs.js';

await test('a failure is logged once a minute, with the number of the others', (t) => {
  const lines: string[] = [];
  let now = 1000;
  const health = new Health(silentLog(lines), () => now);
  t.equal(health.reason, null);
  health.failed('write x: ENOSPC');
  health.failed('write y: ENOSPC');
  health.isFull('the limit is reached');
  t.equal(health.reason, 'write y: ENOSPC');
  t.equal(health.writeErrors, 2);
  t.equal(health.isStuck, false);
  now += 59_999;
  health.failed('write z: EIO');
  t.equal(lines.length, 1);
  now += 1;
  health.failed('write z: EIO');
  t.same(lines, [
    'cache: write x: ENOSPC; fetched chunks are kept in memory only, and reads go on',
    'cache: write z: EIO; fetched chunks are kept in memory only, and reads go on; 3 more since the last such line',
  ]);
  t.end();
});

await test('one write tries the disk again after half a minute', (t) => {
  const lines: string[] = [];
  let now = 1000;
  const health = new Health(silentLog(lines), () => now);
  t.ok(health.mayTry());
  health.failed('write: ETIMEDOUT (connection timed out)');
  t.ok(health.isStuck);
  t.notOk(health.mayTry());
  now += 30_000;
  t.ok(health.mayTry());
  t.notOk(health.mayTry(), 'one');
  now += 30_000;
  t.ok(health.mayTry());
  health.worked();
  t.equal(health.reason, null);
  t.ok(health.mayTry());
  t.ok(health.mayTry());
  t.match(lines.at(-1), /can be written again/);
  health.worked();
  t.equal(lines.length, 2);
  t.end();
});

await test('a full folder is no failure of the disk', (t) => {
  const health = new Health(silentLog(), () => 0);
  health.isFull('the limit is reached');
  t.equal(health.reason, null);
  t.equal(health.writeErrors, 0);
  t.ok(health.mayTry());
  t.end();
});
