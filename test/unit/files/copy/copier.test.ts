// Copies of files of an image: contents with holes, types, attributes, and files that cannot be read.
import {
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { Copier } from '../../../../daemon/files/copy/copier.js';
import { TargetFolder, tried } from '../../../../daemon/files/copy/target-folder.js';
import type { ContentPiece, ImageFile } from '../../../../daemon/files/image-file.js';
import { OverlaybdError } from '../../../../daemon/errors.js';
import { findFile } from '../../../../daemon/files/find.js';
import { shortFolder } from '../../../support/daemon-process.js';
import { randomBytes } from '../../../support/pattern.js';
import { rootOf } from '../../../support/tree-root.js';

interface Copied {
  copier: Copier;
  failures: string[];
}

/** Copies what is in a folder of the image into a folder. */
async function copied(into: string, file: ImageFile, keep = false): Promise<Copied> {
  const failures: string[] = [];
  const fail = (message: string): Promise<void> => {
    failures.push(message);
    return Promise.resolve();
  };
  const copier = new Copier({ keep, fail });
  const target = await TargetFolder.open(into);
  try {
    await copier.copyInto('', file, target);
  } finally {
    await target.close();
  }
  return { copier, failures };
}

function folderOf(t: Test): string {
  const into = join(shortFolder(t), 'into');
  mkdirSync(into);
  return into;
}

const large = randomBytes(1, 2_500_000);

await test('files, folders and symlinks', async (t) => {
  const root = await rootOf(t, [
    { name: 'a/b/large', bytes: large, mode: 0o4751 },
    { name: 'a/link', type: '2', link: '/etc/passwd' },
    { name: 'a/hard', type: '1', link: 'a/b/large' },
    { name: 'a/pipe', type: '6' },
    { name: 'locked/', type: '5', mode: 0o500 },
    { name: 'locked/x', bytes: Buffer.from('x') },
  ]);
  const into = folderOf(t);
  const { copier, failures } = await copied(into, root);
  t.same(failures, []);
  t.same(copier.leftOut, { failed: 0, nodes: 1 });
  t.ok(readFileSync(join(into, 'a/b/large')).equals(large));
  const { mode, nlink } = lstatSync(join(into, 'a/b/large'));
  t.equal(mode & 0o7000, 0, 'no setuid');
  t.equal(nlink, 1);
  t.equal(readlinkSync(join(into, 'a/link')), '/etc/passwd');
  t.same(readdirSync(join(into, 'a')), ['b', 'hard', 'link']);
  t.equal(lstatSync(join(into, 'locked')).mode & 0o777, 0o500);
  t.equal(readFileSync(join(into, 'locked/x'), 'utf8'), 'x');
});

await test('attributes and hard links are kept', async (t) => {
  const uid = process.geteuid?.() ?? 0;
  const gid = process.getegid?.() ?? 0;
  const root = await rootOf(t, [
    { name: 'd/', type: '5', mode: 0o1777, uid, gid, mtime: 86_400 },
    { name: 'd/large', bytes: large, mode: 0o4751, uid, gid, mtime: 5 },
    { name: 'd/link', type: '2', link: 'x', uid, gid, mtime: 7 },
    { name: 'hard', type: '1', link: 'd/large' },
    { name: 'link2', type: '1', link: 'd/link' },
    { name: 'pipe', type: '6', mode: 0o640, uid, gid, mtime: 9 },
  ]);
  const into = folderOf(t);
  const { copier, failures } = await copied(into, root, true);
  t.same(failures, []);
  t.same(copier.leftOut, { failed: 0, nodes: 0 });
  const stat = (name: string): [number, number, number] => {
    const { mode, mtimeMs, nlink } = lstatSync(join(into, name));
    return [mode & 0o7777, mtimeMs / 1000, nlink];
  };
  t.same(stat('d'), [0o1777, 86_400, 2]);
  t.same(stat('d/large'), [0o4751, 5, 2]);
  t.same(stat('d/link'), [0o777, 7, 2]);
  t.same(stat('pipe').slice(1), [9, 1]);
  t.equal(lstatSync(join(into, 'hard')).ino, lstatSync(join(into, 'd/large')).ino);
});

await test('a hard link to a copy that another one has replaced is a copy of its own', async (t) => {
  const root = await rootOf(t, [
    { name: 'a/x', bytes: Buffer.from('first') },
    { name: 'b/x', bytes: Buffer.from('second') },
    { name: 'c/y', type: '1', link: 'a/x' },
    { name: 'd/z', type: '1', link: 'a/x' },
  ]);
  const into = folderOf(t);
  const copier = new Copier({ keep: true, fail: () => Promise.resolve() });
  const target = await TargetFolder.open(into);
  for (const path of ['a/x', 'b/x', 'c/y', 'c/y', 'd/z']) {
    const { file } = await findFile(root, path, false);
    await copier.copy(path, file, target, path.slice(2));
  }
  await target.close();
  t.equal(readFileSync(join(into, 'x'), 'utf8'), 'second');
  t.equal(readFileSync(join(into, 'y'), 'utf8'), 'first');
  t.equal(lstatSync(join(into, 'z')).ino, lstatSync(join(into, 'y')).ino);
});

/** A file with these pieces. */
function made(
  root: ImageFile,
  pieces: () => AsyncGenerator<ContentPiece>,
  size: number,
): ImageFile {
  return {
    inode: 99,
    stat: async () => ({ ...(await root.stat()), type: 'reg', mode: 0o644, size }),
    names: () => Promise.resolve([]),
    child: () => Promise.resolve(null),
    xattrs: () => Promise.resolve(new Map()),
    contents: pieces,
  };
}

await test('holes and blocks of zeros take no room', async (t) => {
  const into = folderOf(t);
  const size = 64 * 1024 * 1024 + 5;
  const wanted = Buffer.alloc(size);
  wanted.set(large.subarray(0, 10_000), 5000);
  wanted.set(large.subarray(0, 5), size - 5);
  const root = await rootOf(t, [{ name: 'x' }]);
  const file = made(
    root,
    async function* () {
      // Not at multiples of the size of a block.
      for (let at = 512; at < 1_000_000; at += 300_000) {
        yield await Promise.resolve({ offset: at, bytes: wanted.subarray(at, at + 300_000) });
      }
      yield { offset: size - 5, bytes: wanted.subarray(size - 5) };
    },
    size,
  );
  const copier = new Copier({ keep: false, fail: () => Promise.resolve() });
  const target = await TargetFolder.open(into);
  await copier.copy('file', file, target, 'file');
  await target.close();
  t.ok(readFileSync(join(into, 'file')).equals(wanted));
  const used = lstatSync(join(into, 'file')).blocks * 512;
  t.ok(used < 1_000_000, `${used} bytes`);
});

await test('a new folder: nothing is removed from it, and files end in their holes', async (t) => {
  const into = folderOf(t);
  const root = await rootOf(t, [
    { name: 'x', bytes: Buffer.from('x') },
    { name: 'link', type: '2', link: 'x' },
    { name: 'zeros', bytes: Buffer.alloc(10_000) },
    { name: 'end', bytes: Buffer.concat([Buffer.alloc(5000, 1), Buffer.alloc(20_000)]) },
    { name: 'empty' },
  ]);
  const target = await TargetFolder.open(into);
  const remove = target.remove.bind(target);
  let removed = 0;
  target.remove = (name) => {
    removed++;
    return remove(name);
  };
  const copier = new Copier({ keep: false, fail: () => Promise.resolve() });
  for (const expected of [0, 5]) {
    await copier.copyInto('', root, target);
    t.equal(removed, expected);
    const sizes = ['x', 'zeros', 'end', 'empty'].map((name) => lstatSync(join(into, name)).size);
    t.same(sizes, [1, 10_000, 25_000, 0]);
  }
  await target.close();
});

await test('a file that cannot be read is left out, with no half of it', async (t) => {
  const into = folderOf(t);
  const root = await rootOf(t, [{ name: 'good', bytes: Buffer.from('x') }]);
  const bad = made(
    root,
    async function* () {
      yield await Promise.resolve({ offset: 0, bytes: large.subarray(0, 100) });
      throw new OverlaybdError('BAD_CHECKSUM', 'piece 1');
    },
    1000,
  );
  const folder: ImageFile = {
    inode: 1,
    stat: () => root.stat(),
    names: () => Promise.resolve(['bad', 'good']),
    child: (name) => (name === 'bad' ? Promise.resolve(bad) : root.child(name)),
    xattrs: () => root.xattrs(),
    contents: () => bad.contents(),
  };
  const { copier, failures } = await copied(into, folder);
  t.same(failures, ['"bad": piece 1']);
  t.equal(copier.leftOut.failed, 1);
  t.same(readdirSync(into), ['good']);
});

/** A folder like `root` whose names lead to what `child` gives. */
function madeFolder(
  root: ImageFile,
  inode: number,
  names: readonly string[],
  child: ImageFile['child'],
): ImageFile {
  return {
    inode,
    stat: () => root.stat(),
    names: () => Promise.resolve(names),
    child,
    xattrs: () => root.xattrs(),
    contents: () => root.contents(),
  };
}

await test('a file that cannot be looked at is left out, and its folder is copied', async (t) => {
  const into = folderOf(t);
  const root = await rootOf(t, [{ name: 'good', bytes: Buffer.from('x') }]);
  const folder = madeFolder(root, 2, ['a', 'good'], (name) =>
    name === 'a' ? Promise.reject(new OverlaybdError('UNSUPPORTED', 'a socket')) : root.child(name),
  );
  const top = madeFolder(root, 1, ['d', 'good'], (name) =>
    name === 'd' ? Promise.resolve(folder) : root.child(name),
  );
  const { copier, failures } = await copied(into, top);
  t.same(failures, ['"d/a": a socket']);
  t.equal(copier.leftOut.failed, 1);
  t.same(readdirSync(into), ['d', 'good']);
  t.same(readdirSync(join(into, 'd')), ['good']);
});

await test('a folder inside itself is left out', async (t) => {
  const into = folderOf(t);
  const root = await rootOf(t, [{ name: 'x', bytes: Buffer.from('x') }]);
  const top: ImageFile = madeFolder(root, 1, ['d', 'x'], (name) =>
    name === 'd' ? Promise.resolve(folder) : root.child(name),
  );
  const folder = madeFolder(root, 2, ['d', 'top', 'x'], (name) =>
    name === 'x' ? root.child(name) : Promise.resolve(name === 'd' ? folder : top),
  );
  const { copier, failures } = await copied(into, top, true);
  t.same(failures, [
    '"d/d": a directory that is inside itself',
    '"d/top": a directory that is inside itself',
  ]);
  t.equal(copier.leftOut.failed, 2);
  t.same(readdirSync(into), ['d', 'x']);
  t.same(readdirSync(join(into, 'd')), ['x']);
});

await test('a file whose close(2) fails is an error of the copy, and no file stays', async (t) => {
  const into = folderOf(t);
  const root = await rootOf(t, [{ name: 'x', bytes: Buffer.from('x') }]);
  const target = await TargetFolder.open(into);
  const newFile = target.newFile.bind(target);
  target.newFile = async (name, mode) => {
    const handle = await newFile(name, mode);
    const close = handle.close.bind(handle);
    handle.close = async () => {
      await close();
      throw Object.assign(new Error('EIO: i/o error, close'), { errno: -5, code: 'EIO' });
    };
    return handle;
  };
  const copier = new Copier({ keep: false, fail: () => Promise.resolve() });
  await t.rejects(copier.copyInto('', root, target), {
    code: 'IO',
    message: /into\/x": I\/o error$/,
  });
  await target.close();
  t.same(readdirSync(into), []);
});

await test('what is in the way', async (t) => {
  const into = folderOf(t);
  const root = await rootOf(t, [{ name: 'd/x', bytes: Buffer.from('x') }]);
  const out = join(into, '../out');
  mkdirSync(out);
  symlinkSync(out, join(into, 'd'));
  await t.rejects(copied(into, root), { message: /into\/d": is not a folder/ });
  t.same(readdirSync(out), []);
  const other = await rootOf(t, [{ name: 'd', bytes: Buffer.from('x') }]);
  const there = join(into, '../there');
  mkdirSync(join(there, 'd'), { recursive: true });
  await t.rejects(copied(there, other), { code: /^(?:IO|PERMISSION)$/ });
  writeFileSync(join(out, 'd'), 'old');
  await copied(out, other);
  t.equal(readFileSync(join(out, 'd'), 'utf8'), 'x');
});

/** The errno of a write or of a new file, as the system reports it. */
const systemError = (code: 'ENOSPC' | 'EDQUOT' | 'EROFS' | 'EISDIR'): Error =>
  Object.assign(new Error(code), { code, errno: -constants.errno[code] });

for (const code of ['ENOSPC', 'EDQUOT', 'EROFS'] as const) {
  await test(`${code} of the destination ends the copy`, async (t) => {
    const root = await rootOf(t, [
      { name: 'a', bytes: Buffer.from('x') },
      { name: 'b', bytes: Buffer.from('x') },
      { name: 'c', bytes: Buffer.from('x') },
    ]);
    const target = await TargetFolder.open(folderOf(t));
    const newFile = target.newFile.bind(target);
    const names: string[] = [];
    target.newFile = async (name, mode) => {
      names.push(name);
      const handle = await newFile(name, mode);
      if (name === 'b') handle.write = () => Promise.reject(systemError(code));
      return handle;
    };
    const failures: string[] = [];
    const fail = (message: string): Promise<void> => Promise.resolve(void failures.push(message));
    const copier = new Copier({ keep: false, fail });
    await t.rejects(copier.copyInto('', root, target), { code: 'IO', endsAll: true });
    await target.close();
    t.same([names, failures, copier.copied], [['a', 'b'], [], 1]);
  });
}

await test('another error of the destination is of one path', async (t) => {
  const root = await rootOf(t, [{ name: 'a', bytes: Buffer.from('x') }]);
  const target = await TargetFolder.open(folderOf(t));
  target.newFile = () => tried('a', () => Promise.reject(systemError('EISDIR')));
  const copier = new Copier({ keep: false, fail: () => Promise.resolve() });
  await t.rejects(copier.copyInto('', root, target), { code: 'IO', endsAll: false });
  await target.close();
});

await test('a root that cannot be read has a name', async (t) => {
  const root = await rootOf(t, [{ name: 'a' }]);
  const bad: ImageFile = {
    ...made(root, async function* () {}, 0),
    stat: () => root.stat(),
    names: () => Promise.reject(new OverlaybdError('BAD_FORMAT', 'names')),
  };
  const target = await TargetFolder.open(folderOf(t));
  const failures: string[] = [];
  const fail = (message: string): Promise<void> => Promise.resolve(void failures.push(message));
  await new Copier({ keep: false, fail }).copy('', bad, target, 'new');
  await target.close();
  t.same(failures, ['"/": names']);
});
