// The files of a mounted file system: a folder of the test stands for it.
import { closeSync, mkdirSync, openSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'tap';
import { allBytes } from '../../../daemon/files/all-bytes.js';
import { findFile } from '../../../daemon/files/find.js';
import { folderRoot } from '../../../daemon/files/folder-files.js';
import { attributes } from '../../../daemon/native/attributes.js';
import { shortFolder } from '../../support/daemon-process.js';
import { randomBytes } from '../../support/pattern.js';

const large = randomBytes(1, 2_500_000);

await test('attributes, names and contents', async (t) => {
  const folder = shortFolder(t);
  mkdirSync(join(folder, 'image/sub'), { recursive: true, mode: 0o755 });
  const image = join(folder, 'image');
  writeFileSync(join(image, 'sub/large'), large, { mode: 0o640 });
  const fd = openSync(image, 'r');
  attributes.setTimes(fd, Buffer.from('sub/large'), 2, 1, 500_000_000);
  closeSync(fd);
  writeFileSync(Buffer.concat([Buffer.from(`${image}/`), Buffer.of(0xff)]), 'x');
  symlinkSync('/sub/large', join(image, 'link'));
  // On this machine it leads somewhere else.
  symlinkSync('..', join(image, 'up'));
  writeFileSync(join(folder, 'secret'), 'mine');
  const root = await folderRoot(image);
  t.same(await root.names(), ['link', 'sub', 'up', '\xff']);
  t.equal((await findFile(root, 'up', true)).path, '');
  await t.rejects(findFile(root, 'up/secret', true), { code: 'NOT_FOUND' });
  const { file, path } = await findFile(root, 'link', true);
  t.equal(path, 'sub/large');
  t.match(await file.stat(), {
    type: 'reg',
    mode: 0o640,
    size: large.length,
    mtime: -2,
    mtimeNs: 500_000_000,
    nlink: 1,
    layer: null,
  });
  const parts: Buffer[] = [];
  for await (const part of allBytes('', file)) parts.push(Buffer.from(part));
  t.ok(Buffer.concat(parts).equals(large));
  const link = (await findFile(root, 'link', false)).file;
  t.match(await link.stat(), { type: 'symlink', target: '/sub/large', size: 10 });
  t.equal((await link.xattrs()).size, 0);
  t.equal(await file.child('x'), null);
  t.same(await file.names(), []);
  t.ok((await root.xattrs()) instanceof Map);
});

await test('a file that is shorter than it says, and a socket', async (t) => {
  const folder = shortFolder(t);
  writeFileSync(join(folder, 'file'), large);
  const root = await folderRoot(folder);
  const file = await root.child('file');
  writeFileSync(join(folder, 'file'), 'x');
  const read = async (): Promise<void> => {
    for await (const _ of file?.contents() ?? []) continue;
  };
  await t.rejects(read(), {
    code: 'SHORT_READ',
    message: '"/file": ends at byte 1, expected 2500000',
  });
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(join(folder, 'socket'), resolve);
  });
  t.same(await root.names(), ['file', 'socket']);
  t.equal(await root.child('socket'), null, 'it is left out');
  await t.rejects(folderRoot(join(folder, 'socket')), { code: 'UNSUPPORTED' });
  server.close();
  await t.rejects(folderRoot(join(folder, 'none')), { code: 'IO' });
});
