// Composefs images become trees: types, attributes, hard links, objects; what is wrong in them is refused.
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import {
  isComposefs,
  openComposefs,
  type OpenedComposefs,
} from '../../../daemon/composefs/open.js';
import { ObjectsSource } from '../../../daemon/composefs/objects-source.js';
import { OpenObjects } from '../../../daemon/composefs/open-objects.js';
import { readFully } from '../../../daemon/blob/source.js';
import { DecodedCache } from '../../../daemon/pieces/decoded-cache.js';
import { objectAt } from '../../../daemon/composefs/object-table.js';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import type { TreeEntry } from '../../../daemon/tree/layer-tree.js';
import {
  fsVerity,
  objectNameOf,
  objectXattrs,
  writeComposefs,
  type ImageFile,
} from '../../support/composefs-writer.js';
import { MemorySource } from '../../support/memory-source.js';

const STORE = '/';
const contents = Buffer.from('some contents of an object');
const digest = fsVerity(contents);
const name = objectNameOf(digest);
const ROOT: ImageFile = {
  path: '',
  mode: 0o040755,
  mtime: 5,
  xattrs: { 'trusted.overlay.opaque': 'y' },
};
const OBJECT: ImageFile = {
  path: 'f',
  mode: 0o100644,
  size: contents.length,
  xattrs: objectXattrs(name, digest),
};

function open(files: readonly ImageFile[], store: string | null = STORE): Promise<OpenedComposefs> {
  return openComposefs(new MemorySource(writeComposefs(files).bytes), store, UNBOUNDED);
}

function entriesOf({ tree }: OpenedComposefs): Map<string, TreeEntry> {
  const all = Array.from({ length: tree.count }, (_, i) => tree.entry(i));
  return new Map(all.map((entry) => [entry.path, entry]));
}

await test('what is an image', (t) => {
  const { bytes } = writeComposefs([ROOT]);
  t.ok(isComposefs(bytes));
  t.notOk(isComposefs(bytes.subarray(0, 1100)));
  t.notOk(isComposefs(Buffer.concat([Buffer.from('x'), bytes])));
  t.notOk(isComposefs(Buffer.concat([Buffer.from([0x9a, 0x62, 0x78, 0xd0]), Buffer.alloc(4096)])));
  t.end();
});

await test('all types, with their attributes', async (t) => {
  const opened = await open([
    { ...ROOT, xattrs: { ...ROOT.xattrs, 'user.r': '1' } },
    { path: 'ab', mode: 0o020000, device: 0 },
    { path: 'd', mode: 0o042711, uid: 4_000_000_000, gid: 7, mtime: -9, mtimeNs: 3 },
    { ...OBJECT, path: 'd/f', nlink: 2, uid: 3 },
    { path: 'd/hard', mode: 0o100644, linkTo: 'd/f' },
    { path: 'd/small', mode: 0o100600, inline: 'here', isCompact: true, uid: 9 },
    { path: 'd/empty', mode: 0o100600, inline: '' },
    { path: 'l', mode: 0o120777, inline: 'target\xff' },
    { path: 'n', mode: 0o060644, device: 0x1ff05ff },
    { path: 'p', mode: 0o010644 },
    { path: 's', mode: 0o140644 },
  ]);
  const entries = entriesOf(opened);
  t.same([...entries.keys()].toSorted(), [
    '',
    'd',
    'd/empty',
    'd/f',
    'd/hard',
    'd/small',
    'l',
    'n',
    'p',
  ]);
  t.same(entries.get('')?.xattrs, new Map([['user.r', new Uint8Array([49])]]));
  t.match(entries.get('d'), { mode: 0o2711, uid: 4_000_000_000, gid: 7, mtime: -9, mtimeNs: 3 });
  t.match(entries.get('d/small'), { type: 'reg', size: 4, uid: 9, mtime: 1_000_000_000 });
  t.equal(entries.get('l')?.target, Buffer.from('target\xff').toString('latin1'));
  t.same(entries.get('n')?.rdev, { major: 0xf05, minor: 0x1fff });
  const names = [entries.get('d/f'), entries.get('d/hard')];
  t.same(new Set(names.map((each) => each?.type)), new Set(['hardlink', 'reg']));
  const file = names.find((each) => each?.type === 'reg');
  t.match(file, { size: contents.length, uid: 3, xattrs: null });
  t.equal(file?.data.length, 1);
  t.match(opened.notes, [/1 socket left out$/]);
  t.equal(opened.objectCount, 1);
});

await test('objects: one for all files that have it, with its name and its digest', async (t) => {
  const other = 'some/other name';
  const opened = await open([
    ROOT,
    OBJECT,
    { ...OBJECT, path: 'g' },
    { ...OBJECT, path: 'h', xattrs: objectXattrs(other, null) },
    { ...OBJECT, path: 'zero', size: 0 },
  ]);
  const { table } = opened.objects;
  t.equal(opened.objectCount, 2);
  const objects = Array.from({ length: table.count }, (_, i) => objectAt(table, i));
  const [a, b] = objects.toSorted((one) => (one.digest ? -1 : 1));
  t.equal(a?.name, name);
  t.ok(digest.equals(a?.digest as Uint8Array));
  t.equal(b?.name, other);
  t.equal(b?.digest, null);
  t.match(opened.notes, [/1 object without a digest/]);
  t.equal(table.size, 8192);
});

await test('an object is the same whatever other attributes its files have', async (t) => {
  const second = fsVerity(Buffer.from('another object'));
  const misnamed = objectXattrs(objectNameOf(second), digest);
  const opened = await open([
    ROOT,
    OBJECT,
    { ...OBJECT, path: 'labelled', xattrs: { ...OBJECT.xattrs, 'user.x': 'y' } },
    { ...OBJECT, path: 'longer', size: contents.length + 1 },
    { ...OBJECT, path: 'named as another', xattrs: misnamed },
  ]);
  const entries = entriesOf(opened);
  const placeOf = (path: string): number | undefined => entries.get(path)?.data[0]?.offset;
  t.equal(placeOf('labelled'), placeOf('f'));
  t.equal(entries.get('f')?.xattrs, null);
  t.same(entries.get('labelled')?.xattrs, new Map([['user.x', new Uint8Array([0x79])]]));
  const { table } = opened.objects;
  const objects = Array.from({ length: table.count }, (_, i) => objectAt(table, i));
  t.same(
    objects.map((each) => `${each.size} ${each.name}`).toSorted(),
    [
      `${contents.length} ${name}`,
      `${contents.length + 1} ${name}`,
      `${contents.length} ${objectNameOf(second)}`,
    ].toSorted(),
  );
  t.equal(opened.objectCount, 3);
});

await test('a device node 0:0 comes back', async (t) => {
  const escaped = 'trusted.overlay.overlay.whiteout';
  const opened = await open([
    ROOT,
    { path: 'w', mode: 0o100644, xattrs: { [escaped]: '', 'user.overlay.whiteout': '' } },
    { path: 'x', mode: 0o100644, xattrs: { [escaped]: '' } },
  ]);
  t.match(entriesOf(opened).get('w'), { type: 'char', rdev: { major: 0, minor: 0 } });
  t.match(entriesOf(opened).get('x'), { type: 'reg' }, 'an attribute that the file had itself');
});

await test('images without objects need no store; others do', async (t) => {
  await t.resolves(open([ROOT], null));
  await t.rejects(open([ROOT, OBJECT], null), { code: 'UNSUPPORTED', message: /--objects$/ });
  await t.rejects(open([ROOT, OBJECT], '/proc/nonexistent'), { code: 'NOT_FOUND' });
  const folder = t.testdir();
  mkdirSync(join(folder, 'store'));
  symlinkSync('store', join(folder, 'link'));
  const { objects } = await open([ROOT, OBJECT], join(folder, 'link'));
  t.equal(objects.store, join(folder, 'store'));
});

const BAD: [what: string, files: ImageFile[], code: string, message: RegExp][] = [
  ['a relative redirect', [withRedirect('a')], 'BAD_FORMAT', /entry "f" .*path from the root/],
  ['a redirect out of the store', [withRedirect('/a/../../b')], 'BAD_FORMAT', /path from the root/],
  ['a redirect to nothing', [withRedirect('/')], 'BAD_FORMAT', /path from the root/],
  ['a redirect with a NUL', [withRedirect('/a\0b')], 'BAD_FORMAT', /path from the root/],
  ['a redirect that is not UTF-8', [withRedirect('/\xff')], 'BAD_FORMAT', /path from the root/],
  [
    'a digest of another kind',
    [
      {
        ...OBJECT,
        xattrs: { ...OBJECT.xattrs, 'trusted.overlay.metacopy': Buffer.from('0024000200', 'hex') },
      },
    ],
    'UNSUPPORTED',
    /a digest that is not of SHA-256: .* 5 bytes and begins with 00240002/,
  ],
  [
    'a long path of an object',
    [{ ...OBJECT, xattrs: objectXattrs('x'.repeat(4001), null) }],
    'BAD_FORMAT',
    /a path from the root of the store/,
  ],
  ['a size above 2^44', [{ ...OBJECT, size: 2 ** 44 + 1 }], 'LIMIT', /a file of \d+ bytes/],
  [
    'an unknown type',
    [{ path: 'f', mode: 0o030000 }],
    'BAD_FORMAT',
    /an unknown type: mode 030000/,
  ],
];

function withRedirect(text: string): ImageFile {
  const xattrs = { ...OBJECT.xattrs, 'trusted.overlay.redirect': Buffer.from(text, 'latin1') };
  return { ...OBJECT, xattrs };
}

await test('files with neither contents nor an object fail alone', async (t) => {
  const files: ImageFile[] = [
    { path: '', mode: 0o040755 },
    { path: 'd', mode: 0o040755 },
    { path: 'd/f', mode: 0o100644, size: 9 },
    { path: 'd/g', mode: 0o100644, inline: 'contents' },
    { ...OBJECT, path: 'u', xattrs: ofUser(OBJECT.xattrs) },
  ];
  const image = new MemorySource(writeComposefs(files).bytes, 'image');
  const opened = await openComposefs(image, null, UNBOUNDED);
  t.equal(opened.objectCount, 0);
  t.match(opened.notes, [/2 files with neither contents nor an object: reads of them fail/]);
  const tools = { cache: new DecodedCache(), open: new OpenObjects() };
  const source = new ObjectsSource(opened.objects, image, tools);
  const read = async (path: string): Promise<string> => {
    const entry = Array.from({ length: opened.tree.count }, (_, i) => opened.tree.entry(i)).find(
      (each) => each.path === path,
    );
    const [range] = entry?.data ?? [];
    if (!range) throw new Error(`no contents of ${path}`);
    return (await readFully(source, range.offset, range.length)).toString();
  };
  t.equal(await read('d/g'), 'contents');
  await t.rejects(read('d/f'), {
    code: 'BAD_DATA',
    message: 'image: neither contents nor the name of an object; file "d/f" of image',
  });
  await t.rejects(read('u'), { code: 'BAD_DATA' });
});

function ofUser(xattrs: ImageFile['xattrs'] = {}): NonNullable<ImageFile['xattrs']> {
  return Object.fromEntries(
    Object.entries(xattrs).map(([each, value]) => [each.replace('trusted.', 'user.'), value]),
  );
}

for (const [what, files, code, message] of BAD) {
  await test(what, async (t) => {
    await t.rejects(open([ROOT, ...files]), { code, message });
  });
}

await test('more bytes than a device can have', async (t) => {
  const large = Array.from({ length: 3 }, (_, i) => {
    const xattrs = objectXattrs(`object ${i}`, null);
    return { ...OBJECT, path: `f${i}`, size: 2 ** 43, xattrs };
  });
  await t.rejects(open([ROOT, ...large]), {
    code: 'LIMIT',
    message: /more than 17592186044416 bytes/,
  });
});

await test('another version of the format', async (t) => {
  const { bytes } = writeComposefs([ROOT]);
  bytes.writeUInt32LE(2, 4);
  const opened = openComposefs(new MemorySource(bytes), STORE, UNBOUNDED);
  await t.rejects(opened, { code: 'UNSUPPORTED', message: /composefs of version 2/ });
});
