// The lock of the folder: one at a time for a blob, in this process and among processes.
import { EventEmitter, once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { test, type Test } from 'tap';
import { FolderLock, waitFor } from '../../../daemon/cache/folder-lock.js';
import { CacheFolder } from '../../../daemon/cache/folder.js';
import { makeFolders } from '../../../daemon/cache/small-files.js';

const ONE = '1'.repeat(64);
const TWO = '2'.repeat(64);

async function open(t: Test, count: number): Promise<FolderLock[]> {
  const folder = new CacheFolder(t.testdir());
  await makeFolders('/', folder.blobs);
  const locks = await Promise.all(Array.from({ length: count }, () => FolderLock.open(folder)));
  t.teardown(() => locks.forEach((lock) => lock.close()));
  return locks;
}

for (const [name, count] of [
  ['of one process', 1],
  ['of two processes', 2],
] as const) {
  await test(`turns ${name} never overlap`, async (t) => {
    const locks = await open(t, count);
    let inside = 0;
    let most = 0;
    const work = async (): Promise<void> => {
      most = Math.max(most, ++inside);
      await pause(1);
      inside--;
    };
    const turns = Array.from({ length: 20 / count }, () => locks).flat();
    await Promise.all(turns.map((lock) => lock.hold(ONE, work)));
    t.equal(most, 1);
  });
}

await test('another blob does not wait; a turn that fails ends', async (t) => {
  const [lock] = (await open(t, 1)) as [FolderLock];
  const gate = new EventEmitter();
  const first = lock.hold(ONE, () => once(gate, 'open'));
  t.equal(await lock.hold(TWO, () => Promise.resolve('two')), 'two');
  const failing = lock.hold(ONE, () => Promise.reject(new Error('no')));
  const last = lock.hold(ONE, () => Promise.resolve('last'));
  gate.emit('open');
  await first;
  await t.rejects(failing, { message: 'no' });
  t.equal(await last, 'last');
});

await test('what is waited for comes', async (t) => {
  let asked = 0;
  await waitFor(() => ++asked === 4, 'it');
  t.equal(asked, 4);
});
