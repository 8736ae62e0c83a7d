// Small files: replaced as a whole, with their folders.
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { test } from 'tap';
import {
  makeFolders,
  readWhole,
  TEMPORARY,
  touchFile,
  writeWhole,
} from '../../../daemon/cache/small-files.js';

await test('a file is written with its folders, and replaced', async (t) => {
  const root = t.testdir();
  const path = join(root, 'a/b/c');
  t.equal(await readWhole(path, 100), null);
  await writeWhole(root, path, Buffer.from('one'));
  await writeWhole(root, path, Buffer.from('two'));
  t.equal(String(await readWhole(path, 3)), 'two');
  t.same(readdirSync(join(root, 'a/b')), ['c'], 'nothing is left behind');
  t.equal(statSync(join(root, 'a')).mode & 0o777, 0o700);
  t.equal(statSync(path).mode & 0o777, 0o600);
  await t.rejects(readWhole(path, 2), { code: 'LIMIT' });
});

await test('what cannot be written leaves the old file', async (t) => {
  const root = t.testdir();
  const path = join(root, 'a');
  mkdirSync(path);
  await t.rejects(writeWhole(root, path, Buffer.from('x')), { code: 'IO' });
  t.same(readdirSync(root), ['a']);
  writeFileSync(join(root, 'file'), 'old');
  await t.rejects(writeWhole(root, join(root, 'file/x'), Buffer.from('x')), { code: 'IO' });
  t.equal(readFileSync(join(root, 'file'), 'utf8'), 'old');
});

await test('folders that cannot be made', async (t) => {
  await t.rejects(makeFolders('/', '/proc/no/such/folder'), { code: /IO|NOT_FOUND/ });
  await makeFolders('/', t.testdir());
});

await test('a folder that is collected when it is about to be written into', async (t) => {
  const root = t.testdir();
  const folder = join(root, 'empty');
  // The folder of the file, and one above it.
  for (const name of ['x', 'one/two/x']) {
    for (let i = 0; i < 40; i++) {
      mkdirSync(folder);
      const written = writeWhole(root, join(folder, name), Buffer.from('x'));
      written.catch(() => undefined);
      // oxlint-disable-next-line no-await-in-loop
      for (let turns = i % 10; turns > 0; turns--) await turn();
      try {
        rmdirSync(folder);
      } catch {
        // The file, or a folder, is there.
      }
      // oxlint-disable-next-line no-await-in-loop
      await written;
      rmSync(folder, { recursive: true });
    }
  }
  t.pass('all were written');
});

await test('a file is used now', async (t) => {
  const path = join(t.testdir({ file: '' }), 'file');
  await touchFile(path);
  t.ok(Date.now() - statSync(path).mtimeMs < 3_600_000);
  t.equal(await touchFile('/no/such/file'), undefined);
});

await test('names of files that were being written', (t) => {
  t.match('x.0123456789abcdef.tmp', TEMPORARY);
  t.notMatch('x.tmp', TEMPORARY);
  t.end();
});
