// An image that is opened once, for what an opening keeps in the folder of the cache.
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { test } from 'tap';
import { openOnce } from '../../../daemon/inspect/open-once.js';
import { NO_REMOTE } from '../../../daemon/registry/remote.js';
import { randomBytes } from '../../support/pattern.js';
import { writeUstar } from '../../support/ustar.js';

await test('what an opening finds is kept, and a record is not made twice', async (t) => {
  const folder = t.testdir();
  const path = join(folder, 'layer.tar.gz');
  writeFileSync(path, gzipSync(writeUstar([{ name: 'a', bytes: randomBytes(1, 2 << 20) }])));
  const cache = join(folder, 'cache');
  const remote = { ...NO_REMOTE, records: () => ({ folder: cache, limit: null }) };
  const told: number[] = [];
  t.same(await openOnce(path, remote, (done) => void told.push(done)), []);
  t.ok(told.length > 0, 'it was read as a whole');
  t.equal(readdirSync(join(cache, 'v1/layers')).length, 1);
  told.length = 0;
  await openOnce(path, remote, (done) => void told.push(done));
  t.same(told, []);
});

await test('why a record is not kept', async (t) => {
  const folder = t.testdir();
  const path = join(folder, 'layer.tar.gz');
  writeFileSync(path, gzipSync(writeUstar([{ name: 'a', bytes: randomBytes(1, 2 << 20) }])));
  const remote = { ...NO_REMOTE, records: () => ({ folder: join(folder, 'cache'), limit: 4 }) };
  const [note = ''] = await openOnce(path, remote, () => undefined);
  t.match(
    note,
    /layer\.tar\.gz: it is read again next time: it has .*, and there is room for 1 byte/,
  );
});

await test('an image that cannot be served', async (t) => {
  const path = join(t.testdir(), 'layer.tar.gz');
  writeFileSync(
    path,
    gzipSync(writeUstar([{ name: 'a', bytes: Buffer.alloc(9) }])).subarray(0, -4),
  );
  await t.rejects(
    openOnce(path, NO_REMOTE, () => undefined),
    { code: 'BAD_DATA' },
  );
});
