// Nothing in the destination leads outside.
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import {
  bytesOfName,
  TargetError,
  TargetFolder,
} from '../../../../daemon/files/copy/target-folder.js';

await test('symlinks in the destination are replaced or refused', async (t) => {
  const folder = t.testdir({ out: { secret: 'mine' }, in: {} });
  const [out, into] = [join(folder, 'out'), join(folder, 'in')];
  symlinkSync(join(out, 'secret'), join(into, 'file'));
  symlinkSync(out, join(into, 'folder'));
  const target = await TargetFolder.open(into);
  const handle = await target.newFile('file', 0o644);
  await handle.write('theirs');
  await handle.close();
  t.equal(readFileSync(join(out, 'secret'), 'utf8'), 'mine');
  t.equal(readFileSync(join(into, 'file'), 'utf8'), 'theirs');
  await t.rejects(target.makeFolder('folder', 0o755), { message: /in\/folder": is not a folder$/ });
  await t.rejects(target.folder('folder'), { name: 'OverlaybdError', code: 'IO' });
  await target.newSymlink('folder', '/etc/\xff');
  t.same(readlinkSync(join(into, 'folder'), 'latin1'), '/etc/\xff');
  t.same(readdirSync(out), ['secret']);
  t.equal(await target.makeFolder('new', 0o700), true);
  t.equal(await target.makeFolder('new', 0o755), false);
  await t.rejects(target.newFile('new', 0o644), { code: /^(?:IO|PERMISSION)$/ });
  const deep = await target.folder('new');
  await deep.newNode('pipe', 0o010_600, 0, 0);
  t.ok(lstatSync(join(into, 'new/pipe')).isFIFO());
  await target.newLink('hard', deep, 'pipe');
  t.equal(lstatSync(join(into, 'hard')).nlink, 2);
  await deep.close();
  await target.close();
});

await test('the destination itself', async (t) => {
  const folder = t.testdir({ file: '', there: {} });
  symlinkSync('there', join(folder, 'link'));
  for (const name of ['file', 'link', 'none']) {
    const error: unknown = await TargetFolder.open(join(folder, name)).catch((thrown) => thrown);
    t.ok(error instanceof TargetError, name);
  }
});

await test('names that would lead elsewhere', async (t) => {
  mkdirSync(t.testdir({}), { recursive: true });
  for (const name of ['', '.', '..', 'a/b', '/', 'a\0']) {
    t.throws(() => bytesOfName(name), { code: 'BAD_FORMAT' }, name);
  }
  t.same(bytesOfName('...\xff'), Buffer.from('...\xff', 'latin1'));
  const target = await TargetFolder.open(t.testdir({}));
  await t.rejects(async () => target.newSymlink('../x', 'y'), { code: 'BAD_FORMAT' });
  await target.close();
});
