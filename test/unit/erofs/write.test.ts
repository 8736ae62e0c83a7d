// The writer as a whole: what goes in comes out of the independent reader, and layout version 1 stays what it is.
import { createHash } from 'node:crypto';
import { test } from 'tap';
import { writeErofs, type WrittenErofs } from '../../../daemon/erofs/write.js';
import type { EntryDraft } from '../../../daemon/tree/builder.js';
import { layerAlone, mergeLayers } from '../../../daemon/tree/merge.js';
import { deviceOf } from '../../support/erofs/device.js';
import { readErofs, type ErofsImage } from '../../support/erofs/reader.js';
import { treeLines } from '../../support/erofs/tree-lines.js';
import { randomBytes } from '../../support/pattern.js';
import { layerOf, treeOf } from '../../support/trees.js';

const SOURCE = randomBytes(7, 100_000);
const seed = { uuidSeed: ['sha256:a'] };

function imageOf(written: WrittenErofs, sources: Buffer[] = [SOURCE]): ErofsImage {
  return readErofs(deviceOf(written, sources), written.deviceSize);
}

/** Something of everything. */
const MIXED: EntryDraft[] = [
  { path: '', type: 'dir', mode: 0o1777, uid: 1, gid: 2, mtime: 3, mtimeNs: 4 },
  {
    path: 'dir/file',
    type: 'reg',
    mode: 0o4755,
    uid: 4294967294,
    gid: 3000000,
    mtime: -5,
    mtimeNs: 250000000,
    size: 5000,
    data: [{ fileOffset: 0, length: 5000, source: 0, offset: 512 }],
    xattrs: new Map([
      ['security.capability', Buffer.from([1, 0, 0, 2])],
      ['security.selinux', Buffer.from('label\0')],
      ['user.empty', Buffer.alloc(0)],
    ]),
  },
  { path: 'hard', type: 'hardlink', target: 'dir/file' },
  { path: 'empty', type: 'reg', mode: 0o600, mtime: 2 ** 33 },
  {
    path: 'sparse',
    type: 'reg',
    size: 9000,
    data: [{ fileOffset: 4096, length: 512, source: 0, offset: 8192 }],
    xattrs: new Map([['security.selinux', Buffer.from('label\0')]]),
  },
  { path: 'hole', type: 'reg', size: 5000 },
  { path: 'char', type: 'char', rdev: { major: 4095, minor: 1048575 } },
  { path: 'block', type: 'block', rdev: { major: 8, minor: 257 } },
  { path: 'fifo', type: 'fifo', mode: 0o644 },
  { path: 'link', type: 'symlink', target: 'dir/\xff', mode: 0o123 },
  { path: 'long', type: 'symlink', target: 'x'.repeat(4095) },
  { path: 'name\xff\n', type: 'dir' },
];

const zeros = (n: number): Buffer => Buffer.alloc(n);

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

await test('something of everything', (t) => {
  const { entries, uuid } = imageOf(writeErofs(mergeLayers([treeOf(MIXED)]), seed));
  const sparse = Buffer.concat([zeros(4096), SOURCE.subarray(8192, 8704), zeros(9000 - 4608)]);
  const common = { uid: 0, gid: 0, mtime: 0, mtime_ns: 0, nlink: 1, xattrs: {} };
  const file = {
    type: 'reg',
    mode: '4755',
    uid: 4294967294,
    gid: 3000000,
    mtime: -5,
    mtime_ns: 250000000,
    nlink: 2,
    size: 5000,
    xattrs: {
      'security.capability': 'AQAAAg==',
      'security.selinux': 'bGFiZWwA',
      'user.empty': '',
    },
    sha256: sha256(SOURCE.subarray(512, 5512)),
  };
  t.same(treeLines(entries), [
    {
      ...common,
      path: '/',
      type: 'dir',
      mode: '1777',
      uid: 1,
      gid: 2,
      mtime: 3,
      mtime_ns: 4,
      nlink: 4,
    },
    { ...common, path: '/block', type: 'block', mode: '0000', rdev: [8, 257] },
    { ...common, path: '/char', type: 'char', mode: '0000', rdev: [4095, 1048575] },
    { ...common, path: '/dir', type: 'dir', mode: '0755', nlink: 2 },
    { ...file, path: '/dir/file' },
    {
      ...common,
      path: '/empty',
      type: 'reg',
      mode: '0600',
      mtime: 2 ** 33,
      size: 0,
      sha256: sha256(zeros(0)),
    },
    { ...common, path: '/fifo', type: 'fifo', mode: '0644' },
    { ...file, path: '/hard', hardlink_of: '/dir/file' },
    {
      ...common,
      path: '/hole',
      type: 'reg',
      mode: '0000',
      size: 5000,
      sha256: sha256(zeros(5000)),
    },
    { ...common, path: '/link', type: 'symlink', mode: '0777', size: 5, target_b64: 'ZGlyL/8=' },
    {
      ...common,
      path: '/long',
      type: 'symlink',
      mode: '0777',
      size: 4095,
      target: 'x'.repeat(4095),
    },
    { ...common, path_b64: 'L25hbWX/Cg==', type: 'dir', mode: '0000', nlink: 2 },
    {
      ...common,
      path: '/sparse',
      type: 'reg',
      mode: '0000',
      size: 9000,
      xattrs: { 'security.selinux': 'bGFiZWwA' },
      sha256: sha256(sparse),
    },
  ]);
  t.equal(uuid, sha256(Buffer.from('erofs layout 1\nsha256:a\n')).slice(0, 32));
  t.end();
});

await test('layout version 1 does not change', (t) => {
  const { metadata, deviceSize } = writeErofs(mergeLayers([treeOf(MIXED)]), seed);
  t.equal(deviceSize, 40_960);
  t.equal(
    sha256(new Uint8Array(metadata)),
    'f99cacb9fdde4f8fd3bd318c98b278f624af6480bb00139d0b2cc403369c75a6',
  );
  t.end();
});

await test('an empty tree', (t) => {
  const { entries, blocks } = imageOf(writeErofs(mergeLayers([]), seed));
  t.same(
    entries.map(({ path }) => path),
    [''],
  );
  t.equal(blocks, 2);
  t.end();
});

await test('the largest numbers that a layer may have', (t) => {
  const most = { mode: 0o7777, uid: 0xffff_ffff, gid: 0xffff_ffff, mtimeNs: 999_999_999 };
  // As many as an inode can count: 262,148 bytes with their header.
  const lengths = { a: 0xffff, b: 0xffff, c: 0xffff, d: 0xffff - 24 };
  const xattrs = Object.entries(lengths).map(
    ([name, length]) => [`user.${name}`, name.repeat(length)] as const,
  );
  const layer = treeOf([
    { path: 'new', type: 'reg', mtime: Number.MAX_SAFE_INTEGER, size: 2 ** 43, ...most },
    { path: 'old', type: 'fifo', mtime: Number.MIN_SAFE_INTEGER, ...most },
    {
      path: 'xattrs',
      type: 'reg',
      xattrs: new Map(xattrs.map(([name, value]) => [name, Buffer.from(value)])),
    },
  ]);
  const written = writeErofs(mergeLayers([layer]), seed);
  t.same(written.dropped, { count: 0, first: null });
  const { entries } = imageOf(written);
  const found = new Map(entries.map(({ path, inode }) => [path, inode]));
  t.match(found.get('new'), { ...most, mtime: Number.MAX_SAFE_INTEGER, size: 2 ** 43 });
  t.match(found.get('old'), { ...most, mtime: Number.MIN_SAFE_INTEGER });
  t.same({ ...found.get('xattrs')?.xattrs }, Object.fromEntries(xattrs));
  t.end();
});

const bytesOf = (...layers: string[][]): string => {
  const tree = mergeLayers(layers.map((each) => layerOf(...each)));
  return sha256(new Uint8Array(writeErofs(tree, seed).metadata));
};

await test('the same tree from other entries gives the same bytes', (t) => {
  const lines = ['a/b', 'a/c', 'd/e/f', 'g -> a', 'h/'];
  const one = bytesOf(lines);
  t.equal(bytesOf(lines.toReversed()), one);
  t.equal(bytesOf(lines.slice(0, 2), lines.slice(2)), one);
  t.equal(bytesOf([...lines, 'x'], ['.wh.x']), one);
  t.end();
});

await test('a layer alone has whiteouts for overlayfs, and no other xattr of overlayfs', (t) => {
  const xattrs = new Map([
    ['trusted.overlay.opaque', Buffer.from('n')],
    ['user.a', Buffer.from('1')],
  ]);
  const layer = treeOf([
    { path: 'd', type: 'dir', xattrs },
    { path: 'd/.wh..wh..opq', type: 'reg' },
    { path: 'e/.wh..wh..opq', type: 'reg' },
    { path: '.wh.x', type: 'reg' },
    { path: 'f', type: 'dir', xattrs },
  ]);
  const written = writeErofs(layerAlone(layer), seed);
  const found = imageOf(written).entries.map(({ path, inode }) => ({ path, ...inode }));
  t.same(
    found.map(({ path, type, rdev, xattrs: own }) => ({ path, type, rdev, xattrs: { ...own } })),
    [
      { path: '', type: 'dir', rdev: null, xattrs: {} },
      {
        path: 'd',
        type: 'dir',
        rdev: null,
        xattrs: { 'trusted.overlay.opaque': 'y', 'user.a': '1' },
      },
      { path: 'e', type: 'dir', rdev: null, xattrs: { 'trusted.overlay.opaque': 'y' } },
      { path: 'f', type: 'dir', rdev: null, xattrs: { 'user.a': '1' } },
      { path: 'x', type: 'char', rdev: [0, 0], xattrs: {} },
    ],
  );
  t.same(written.dropped, { count: 2, first: 'trusted.overlay.opaque' });
  t.end();
});
