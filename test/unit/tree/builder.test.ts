// The builder of a layer's tree: what it keeps, what whiteouts become, and every limit.
import { test, type Test } from 'tap';
import { OverlaybdError } from '../../../daemon/errors.js';
import { LayerTreeBuilder, type EntryDraft } from '../../../daemon/tree/builder.js';
import type { DataRange, LayerTree } from '../../../daemon/tree/layer-tree.js';
import * as limits from '../../../daemon/tree/limits.js';

function treeOf(drafts: readonly EntryDraft[], hasWhiteouts = true): LayerTree {
  const builder = new LayerTreeBuilder({ name: 'blob', hasWhiteouts });
  for (const draft of drafts) builder.add(draft);
  return builder.finish();
}

function refuses(t: Test, draft: EntryDraft, code: string, message: RegExp): void {
  try {
    treeOf([draft]);
    t.fail(`accepted: ${message.source}`);
  } catch (error) {
    t.ok(error instanceof OverlaybdError);
    t.equal((error as OverlaybdError).code, code);
    t.match((error as OverlaybdError).message, message);
  }
}

const range = (fileOffset: number, length: number, offset = 512, source = 0): DataRange => ({
  fileOffset,
  length,
  offset,
  source,
});

const file = (size: number, ...data: DataRange[]): EntryDraft => {
  return { path: 'a', type: 'reg', size, data };
};

const dir = (name: string, length: number): EntryDraft => {
  return { path: 'a', type: 'dir', xattrs: new Map([[name, new Uint8Array(length)]]) };
};

const pathsOf = (tree: LayerTree): string[] =>
  Array.from({ length: tree.count }, (_, i) => `${tree.typeOf(i)} ${tree.pathOf(i)}`);

await test('an entry comes back as it was given, with a clean path', (t) => {
  const xattrs = new Map([['user.a', Uint8Array.of(1)]]);
  const tree = treeOf([
    {
      path: './dir/file/',
      type: 'reg',
      mode: 0o104755,
      uid: 4294967294,
      gid: 3,
      mtime: -5,
      mtimeNs: 250000000,
      size: 1000,
      data: [range(0, 1000, 1024)],
      xattrs,
      position: 512,
    },
    { path: 'null', type: 'char', rdev: { major: 4095, minor: 1048575 } },
    { path: 'link', type: 'symlink', target: '../x/' },
    { path: 'hard', type: 'hardlink', target: '/dir/./file' },
  ]);
  t.same(tree.entry(0), {
    path: 'dir/file',
    type: 'reg',
    mode: 0o4755,
    uid: 4294967294,
    gid: 3,
    mtime: -5,
    mtimeNs: 250000000,
    size: 1000,
    target: '',
    rdev: null,
    xattrs,
    data: [range(0, 1000, 1024)],
    position: 512,
  });
  t.same(tree.entry(1).rdev, { major: 4095, minor: 1048575 });
  t.equal(tree.entry(1).xattrs, null);
  t.equal(tree.entry(2).target, '../x/');
  t.equal(tree.entry(3).target, 'dir/file');
  t.equal(tree.sourceCount, 1);
  t.end();
});

await test('more entries than the first arrays have room for', (t) => {
  const drafts = Array.from({ length: 1000 }, (_, i): EntryDraft => {
    return { path: `f${i}`, type: 'reg', size: 512, uid: i, data: [range(0, 512, 512 * i)] };
  });
  const tree = treeOf(drafts);
  t.equal(tree.count, 1000);
  for (const i of [0, 63, 64, 999]) {
    t.equal(tree.entry(i).path, `f${i}`);
    t.equal(tree.entry(i).uid, i);
    t.same(tree.entry(i).data, [range(0, 512, 512 * i)]);
  }
  t.end();
});

await test('ranges that follow each other in the file and in the source are joined', (t) => {
  const data = [
    range(0, 512, 1024),
    range(512, 512, 1536),
    range(1024, 512, 512),
    range(1536, 512, 1024, 1),
    range(4096, 512, 1536, 1),
  ];
  const tree = treeOf([
    { path: 'a', type: 'reg', size: 512, data: [range(0, 512, 512)] },
    { path: 'b', type: 'reg', size: 8192, data },
  ]);
  t.same(tree.entry(0).data, [range(0, 512, 512)]);
  t.same(tree.entry(1).data, [
    range(0, 1024, 1024),
    range(1024, 512, 512),
    range(1536, 512, 1024, 1),
    range(4096, 512, 1536, 1),
  ]);
  t.equal(tree.sourceCount, 2);
  t.end();
});

await test('names with the prefix .wh. are whiteouts', (t) => {
  const tree = treeOf([
    { path: 'a/.wh.b', type: 'reg' },
    { path: '.wh.c', type: 'reg' },
    { path: 'd/.wh..wh..opq', type: 'reg' },
    { path: '.wh..wh..opq', type: 'reg' },
    { path: 'e/x.wh.y', type: 'reg' },
  ]);
  t.same(pathsOf(tree), ['whiteout a/b', 'whiteout c', 'opaque d', 'opaque ', 'reg e/x.wh.y']);
  t.end();
});

await test("aufs' own names are left out", (t) => {
  const tree = treeOf([
    { path: '.wh..wh.plnk', type: 'dir' },
    { path: '.wh..wh.plnk/123.456', type: 'reg' },
    { path: 'a/.wh..wh.aufs', type: 'reg' },
    { path: '.wh..wh.orph/.wh..wh..opq', type: 'reg' },
  ]);
  t.same(pathsOf(tree), []);
  t.end();
});

await test('a merged tree has no whiteouts', (t) => {
  t.same(pathsOf(treeOf([{ path: 'a/.wh.b', type: 'reg' }], false)), ['reg a/.wh.b']);
  t.end();
});

await test('broken whiteouts are refused', (t) => {
  const base = { type: 'reg' } as const;
  refuses(t, { ...base, path: 'a/.wh.' }, 'BAD_FORMAT', /^blob: entry "a\/\.wh\.".*no name/);
  refuses(t, { ...base, path: '.wh...' }, 'BAD_FORMAT', /a whiteout of no name/);
  refuses(t, { ...base, path: '.wh.a/b' }, 'BAD_FORMAT', /below a whiteout/);
  t.end();
});

await test('paths have limits', (t) => {
  const { MAX_DEPTH, MAX_NAME_BYTES, MAX_PATH_BYTES } = limits;
  const longest = 'x'.repeat(MAX_NAME_BYTES);
  t.equal(treeOf([{ path: `a/${longest}`, type: 'dir' }]).count, 1);
  refuses(t, { path: `a/${longest}x`, type: 'dir' }, 'LIMIT', /a name of 256 bytes/);
  t.same(pathsOf(treeOf([{ path: `.wh.${longest}`, type: 'reg' }])), [`whiteout ${longest}`]);
  const deepest = 'a/'.repeat(MAX_DEPTH);
  t.equal(treeOf([{ path: deepest, type: 'dir' }]).count, 1);
  refuses(t, { path: `${deepest}b`, type: 'dir' }, 'LIMIT', /a path of 2049 names/);
  const long = 'abcdefghi/'.repeat(MAX_PATH_BYTES / 10 + 1);
  refuses(t, { path: long, type: 'dir' }, 'LIMIT', /a path of \d+ bytes/);
  refuses(t, { path: 'a\0b', type: 'dir', position: 7 }, 'BAD_FORMAT', /at byte 7: .*NUL/);
  refuses(
    t,
    { path: 'a', type: 'hardlink', target: 'b\0' },
    'BAD_FORMAT',
    /link target with a NUL/,
  );
  t.end();
});

await test('targets of symlinks have limits', (t) => {
  const target = 'x'.repeat(limits.MAX_TARGET_BYTES);
  t.equal(treeOf([{ path: 'a', type: 'symlink', target }]).entry(0).target, target);
  refuses(t, { path: 'a', type: 'symlink', target: `${target}x` }, 'LIMIT', /target of 4096 bytes/);
  refuses(t, { path: 'a', type: 'symlink' }, 'BAD_FORMAT', /the target of a symlink is ""/);
  refuses(t, { path: 'a', type: 'symlink', target: 'a\0' }, 'BAD_FORMAT', /\\u\{0\}/);
  t.end();
});

await test('numbers have limits', (t) => {
  const char = { path: 'a', type: 'char' } as const;
  refuses(t, { ...char, rdev: { major: 4096, minor: 0 } }, 'LIMIT', /device 4096:0/);
  refuses(t, { ...char, rdev: { major: 0, minor: 2 ** 20 } }, 'LIMIT', /device 0:1048576/);
  refuses(t, { path: 'a', type: 'dir', uid: 2 ** 32 }, 'LIMIT', /owner 4294967296:0/);
  refuses(t, { path: 'a', type: 'dir', gid: -1 }, 'LIMIT', /owner 0:-1/);
  refuses(t, { path: 'a', type: 'dir', mtime: 2 ** 60 }, 'BAD_FORMAT', /its time/);
  refuses(t, { path: 'a', type: 'dir', mtimeNs: 1e9 }, 'BAD_FORMAT', /its time/);
  t.equal(treeOf([{ path: 'a', type: 'reg', size: 2 ** 44 }]).count, 1);
  refuses(t, { path: 'a', type: 'reg', size: 2 ** 44 + 1 }, 'LIMIT', /a file of 17592186044417/);
  refuses(t, { path: 'a', type: 'reg', size: 2 ** 60 }, 'LIMIT', /a file of more than 2\^53 bytes/);
  refuses(t, { path: 'a', type: 'reg', size: -1 }, 'LIMIT', /a file of -1 bytes/);
  refuses(t, { path: 'a', type: 'reg', size: Number.NaN }, 'LIMIT', /a file of NaN bytes/);
  t.end();
});

await test('ranges of data are in order, within the file, and aligned', (t) => {
  refuses(t, file(512, range(0, 513)), 'BAD_FORMAT', /513 bytes at 0/);
  refuses(t, file(2048, range(0, 1024), range(512, 512)), 'BAD_FORMAT', /from byte 1024 on/);
  refuses(t, file(512, range(0, 512, -512)), 'BAD_FORMAT', /at -512/);
  refuses(t, file(512, range(0, 512, 2 ** 60)), 'BAD_FORMAT', /content source 0 at/);
  refuses(t, file(512, range(0, 512, 512, 255)), 'LIMIT', /255 content sources/);
  refuses(t, file(512, range(0, 512, 100)), 'UNSUPPORTED', /multiples of 512/);
  refuses(t, file(512, range(100, 412)), 'UNSUPPORTED', /multiples of 512/);
  refuses(t, file(512, range(0, 100)), 'UNSUPPORTED', /multiples of 512/);
  t.equal(
    treeOf([file(100, range(0, 100), range(100, 0, 0), range(0, 0, 7))]).entry(0).data.length,
    1,
  );
  t.end();
});

await test('xattrs have limits', (t) => {
  t.equal(treeOf([dir('user.a', limits.MAX_XATTR_BYTES - 6)]).count, 1);
  refuses(t, dir('user.a', limits.MAX_XATTR_BYTES), 'LIMIT', /xattrs of 1048582 bytes/);
  refuses(t, dir('', 1), 'BAD_FORMAT', /the name of an xattr is ""/);
  refuses(t, dir('user.\0', 1), 'BAD_FORMAT', /the name of an xattr/);
  t.end();
});

await test('the bytes of a layer have a limit, and equal sets of xattrs count once', (t) => {
  const builder = new LayerTreeBuilder({ name: 'blob', hasWhiteouts: true });
  const value = new Uint8Array(limits.MAX_XATTR_BYTES - 6);
  const add = (path: string): void =>
    builder.add({ path, type: 'dir', xattrs: new Map([['user.a', value]]) });
  for (let i = 0; i < 10; i++) add(`same${i}`);
  let sets = 1;
  const different = (): void => {
    for (; sets < 300; sets++) {
      value[0] = sets;
      value[1] = sets >> 8;
      add(`${sets}`);
    }
  };
  t.throws(different, { code: 'LIMIT', message: /exceed 268435456 bytes/ });
  t.equal(sets, 255, 'all but one: the names take the rest');
  t.end();
});

await test('entries have a limit', (t) => {
  const builder = new LayerTreeBuilder({ name: 'blob', hasWhiteouts: true });
  const draft = { path: 'a', type: 'fifo' } as const;
  for (let i = 0; i < limits.MAX_LAYER_ENTRIES; i++) builder.add(draft);
  t.throws(() => builder.add(draft), {
    code: 'LIMIT',
    message: /entry 2000001 of the layer, at most 2000000 are read/,
  });
  t.equal(builder.finish().count, limits.MAX_LAYER_ENTRIES);
  t.end();
});
