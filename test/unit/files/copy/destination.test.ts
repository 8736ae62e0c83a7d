import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { nameOfPath, openDestination } from '../../../../daemon/files/copy/destination.js';

await test('where copies go', async (t) => {
  const folder = t.testdir({ there: {}, file: '' });
  symlinkSync('there', join(folder, 'link'));
  const place = async (dest: string, isSeveral = false): Promise<[string, string | null]> => {
    const { folder: into, name } = await openDestination(join(folder, dest), isSeveral);
    await into.close();
    return [into.path.slice(folder.length), name];
  };
  t.same(await place('there'), ['/there', null]);
  t.same(await place('there', true), ['/there', null]);
  t.same(await place('file'), ['/', 'file']);
  t.same(await place('new'), ['/', 'new']);
  t.same(await place('link/new'), ['/link/', 'new']);
  await t.rejects(place('new', true), {
    message: /new: there is no such folder, and several paths/,
  });
  await t.rejects(place('file', true), { message: /file: is not a folder/ });
  await t.rejects(place('link'), { message: /link: a symlink: name the folder/ });
  await t.rejects(place('none/new'), { code: 'IO' });
  await t.rejects(place('file/new'), { code: 'IO' });
});

await test('the slash at the end of a destination', async (t) => {
  const folder = t.testdir({ there: {}, file: '' });
  const there = await openDestination(`${folder}/there//`, false);
  t.equal(there.folder.path, `${folder}/there`);
  await there.folder.close();
  await t.rejects(openDestination(`${folder}/file/`, false), { message: /is not a folder/ });
  for (const [dest, expected] of [
    ['new//', true],
    ['new', false],
    ['there/', false],
  ] as const) {
    const { folder: into, onlyFolder } = await openDestination(`${folder}/${dest}`, false);
    t.equal(onlyFolder, expected, dest);
    await into.close();
  }
  const root = await openDestination('/', false);
  t.same([root.folder.path, root.name], ['/', null]);
  await root.folder.close();
});

await test('the name of a copy in a folder', (t) => {
  t.equal(nameOfPath('/etc/hosts'), 'hosts');
  t.equal(nameOfPath('etc//'), 'etc');
  for (const path of ['/', '', '.', '..', 'etc/.', 'etc/..']) t.equal(nameOfPath(path), null);
  t.end();
});
