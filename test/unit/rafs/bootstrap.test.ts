// Bootstraps by our own writer: what is in them, and one changed field at a time.
import { test } from 'tap';
import { readBootstrap, type OpenedBootstrap } from '../../../daemon/rafs/bootstrap.js';
import { ReaderFactory } from '../../../daemon/image/disks/reader-factory.js';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import type { Decoders } from '../../../daemon/rafs/decode-part.js';
import { MAX_PREFETCH_RANGES } from '../../../daemon/rafs/limits.js';
import { randomBytes, textBytes } from '../../support/pattern.js';
import { withDictionary } from '../../support/rafs-dictionary.js';
import { writeRafs, type RafsFile, type WrittenRafs } from '../../support/rafs-writer.js';

const WORDS = textBytes(1, 9000);
const FILES: RafsFile[] = [
  { path: '', type: 'dir', mode: 0o755 },
  { path: 'dir', type: 'dir', mode: 0o700, uid: 5, xattrs: { 'user.a': 'value', 'trusted.b': '' } },
  { path: 'dir/noise', type: 'reg', bytes: randomBytes(2, 5000), mtime: -5, mtimeNs: 7 },
  { path: 'dir/words', type: 'reg', bytes: WORDS, uid: 4_294_967_294 },
  { path: 'empty', type: 'reg' },
  { path: 'hard', type: 'reg', sameAs: 'dir/words' },
  { path: 'link', type: 'symlink', target: 'dir/words' },
  { path: 'null', type: 'char', rdev: [1, 300] },
];

const readers = new ReaderFactory();
const decoders = (): Decoders => ({ zstd: readers.zstdDecoders(), lz4: readers.decoder('lz4') });
const TOOLS = { effort: UNBOUNDED, decoders };

function open(bootstrap: Buffer): Promise<OpenedBootstrap> {
  return readBootstrap('image.boot', bootstrap, TOOLS);
}

await test('a tree, and the blob that it needs', async (t) => {
  const { bootstrap, blobs } = writeRafs(FILES, { codec: 'lz4' });
  const { tree, blobs: needed, format } = await open(bootstrap);
  t.equal(format, 'RAFS v6 (Nydus) with chunks in lz4, digests by blake3, 1 data blob');
  const entries = Array.from({ length: tree.count }, (_, i) => tree.entry(i));
  t.same(
    entries.map(({ path, type }) => `${path} ${type}`),
    [
      ' dir',
      'dir dir',
      'empty reg',
      'hard reg',
      'link symlink',
      'null char',
      'dir/noise reg',
      'dir/words hardlink',
    ],
  );
  t.match(entries[1], { mode: 0o700, uid: 5 });
  t.same([...(entries[1]?.xattrs?.keys() ?? [])], ['trusted.b', 'user.a']);
  t.match(entries[3], { size: 9000, uid: 4_294_967_294, data: [{ length: 9000, source: 0 }] });
  t.equal(entries[4]?.target, 'dir/words');
  t.same(entries[5]?.rdev, { major: 1, minor: 300 });
  t.match(entries[6], { mtime: -5, mtimeNs: 7 });
  t.equal(entries[7]?.target, 'hard');
  const [[id, bytes]] = [...blobs] as [[string, Buffer]];
  t.same(
    needed.map((each) => each.id),
    [id],
  );
  const pieces = await needed[0]?.pieces('blob', bytes.length, UNBOUNDED);
  t.match(pieces, { name: 'blob', table: { count: 5, hash: 'blake3' } });
  const cut = needed[0]?.pieces('blob', bytes.length - 1, UNBOUNDED);
  await t.rejects(Promise.resolve(cut), {
    code: 'BAD_FORMAT',
    message: /chunk table at byte \d+: expected a chunk that ends by \d+, the end of blob, got/,
  });
});

await test('what is in an archive or a data blob, and is no bootstrap of RAFS v6', async (t) => {
  const v5 = Buffer.alloc(8192);
  v5.write('SFAR', 'latin1');
  v5.writeUInt32LE(0x500, 4);
  const { bootstrap } = writeRafs(FILES);
  const changed = (at: number, value: number): Buffer => {
    const bytes = Buffer.from(bootstrap);
    bytes.writeUInt32LE(value, at);
    return bytes;
  };
  const wrong: [Buffer, string, RegExp][] = [
    [v5, 'UNSUPPORTED', /^image\.boot: a bootstrap of RAFS v5 .*nydusify convert --fs-version 6/],
    [v5.subarray(0, 100), 'UNSUPPORTED', /a bootstrap of RAFS v5/],
    [
      changed(1024, 0xef53),
      'BAD_FORMAT',
      /superblock at byte 1024: expected the magic 0xe0f5e1e2 of EROFS, got 0x0000ef53$/,
    ],
    [
      changed(1032, 0),
      'BAD_FORMAT',
      /superblock at byte 1032: expected the compatible feature 0x40000000 of RAFS v6, got 0x00000000$/,
    ],
    [Buffer.alloc(100), 'BAD_FORMAT', /superblock at byte 1024: expected at most 0 bytes/],
  ];
  for (const [bytes, code, message] of wrong) await t.rejects(open(bytes), { code, message });
});

await test('sockets, and xattrs that no kernel shows', async (t) => {
  const { bootstrap, at } = writeRafs(FILES);
  bootstrap.writeUInt16LE(0o140_600, at.inode('null') + 4);
  const area = bootstrap.indexOf('value', at.inode('dir'), 'latin1') - 5;
  bootstrap.writeUInt8(5, area + 1);
  const { tree, notes } = await open(bootstrap);
  const entries = Array.from({ length: tree.count }, (_, i) => tree.entry(i));
  t.notOk(entries.some(({ path }) => path === 'null'));
  t.same([...(entries[1]?.xattrs?.keys() ?? [])].toSorted(), ['lustre.a', 'trusted.b']);
  t.same(notes, ['image.boot: 1 socket left out']);
  t.same((await open(writeRafs(FILES).bootstrap)).notes, []);
});

await test('chunks in the blob of a dictionary, which has more of them', async (t) => {
  const { bootstrap, blobs } = withDictionary(writeRafs(FILES, { blobs: 2 }));
  const { blobs: needed } = await open(bootstrap);
  t.same(
    needed.map(({ id }) => id),
    [...blobs.keys()],
  );
  const dictionary = [...blobs.values()][0] as Buffer;
  t.equal(needed[0]?.storedSize, dictionary.length);
  const pieces = await needed[0]?.pieces('blob', dictionary.length, UNBOUNDED);
  t.match(pieces, { table: { count: 3 } });
});

await test('only the blobs that files need', async (t) => {
  const files: RafsFile[] = [
    { path: '', type: 'dir' },
    { path: 'file', type: 'reg', bytes: WORDS },
  ];
  const { bootstrap, blobs } = writeRafs(files, { blobs: 2, chunkSize: 1 << 20 });
  const { blobs: needed } = await open(bootstrap);
  t.equal(blobs.size, 2);
  t.equal(needed.length, 1);
  t.equal((await open(writeRafs(files.slice(0, 1)).bootstrap)).blobs.length, 0);
});

const EXTENSION = 1152;
type Change = (bytes: Buffer, at: WrittenRafs['at']) => unknown;
const REFUSED: [what: string, change: Change, code: string, message: RegExp][] = [
  ['block size', (b) => b.writeUInt8(13, 1036), 'BAD_FORMAT', /superblock at byte 1036: .* 2\^13$/],
  ['tarfs blocks', (b) => b.writeUInt8(9, 1036), 'UNSUPPORTED', /tarfs mode \(blocks of 512/],
  ['further slots', (b) => b.writeUInt8(1, 1037), 'BAD_FORMAT', /no further slots, got 1/],
  ['features', (b) => b.writeUInt32LE(0x20, 1104), 'BAD_FORMAT', /features of RAFS.* 0x00000020/],
  ['devices', (b) => b.writeUInt16LE(256, 1110), 'LIMIT', /at most 255 devices, got 256/],
  ['slots', (b) => b.writeUInt16LE(12, 1112), 'BAD_FORMAT', /device slots from number 11 on, got/],
  ['root', (b) => b.writeUInt16LE(65_535, 1038), 'BAD_FORMAT', /inode 65535 at byte 2097120: /],
  ['inodes', (b) => b.writeUInt32LE(0xffff_ffff, 1064), 'BAD_FORMAT', /inode 128 at byte 175921/],
  [
    'no flags',
    (b) => b.fill(0, EXTENSION, EXTENSION + 8),
    'BAD_FORMAT',
    /one compressor, got none/,
  ],
  ['two compressors', (b) => b.writeUInt8(0x96, EXTENSION), 'BAD_FORMAT', /got lz4 and zstd$/],
  ['two digesters', (b) => b.writeUInt8(0x9c, EXTENSION), 'BAD_FORMAT', /got blake3 and sha256$/],
  ['high flags', (b) => b.writeUInt8(1, EXTENSION + 4), 'BAD_FORMAT', /flags that are known/],
  ['encrypted', (b) => b.writeUInt8(2, EXTENSION + 3), 'UNSUPPORTED', /RAFS v6: encrypted chunks/],
  ['tarfs', (b) => b.writeUInt8(2, EXTENSION + 1), 'UNSUPPORTED', /RAFS v6: the tarfs mode: not/],
  ['chunk size', (b) => b.writeUInt32LE(5000, EXTENSION + 20), 'BAD_FORMAT', /power of two/],
  ['small chunks', (b) => b.writeUInt32LE(2048, EXTENSION + 20), 'BAD_FORMAT', /two from 4096/],
  ['large chunks', (b) => b.writeUInt32LE(2 ** 25, EXTENSION + 20), 'BAD_FORMAT', /to 16777216/],
  ['blob table', (b) => b.writeUInt32LE(255, EXTENSION + 16), 'BAD_FORMAT', /entries of 256 bytes/],
  ['its place', (b) => b.writeUInt8(1, EXTENSION + 8), 'BAD_FORMAT', /a multiple of 4096/],
  ['its end', (b) => b.writeUInt8(1, EXTENSION + 13), 'BAD_FORMAT', /blob table at byte \d{13}/],
  ['2 blobs', (b) => b.writeUInt32LE(512, EXTENSION + 16), 'BAD_FORMAT', /1 blobs, as devices/],
  ['chunk table', (b) => b.writeUInt8(81, EXTENSION + 32), 'BAD_FORMAT', /records of 80 bytes/],
  ['its size', (b) => b.writeUInt8(9, EXTENSION + 38), 'BAD_FORMAT', /chunk table at byte/],
  [
    'no chunk table',
    (b) => b.fill(0, EXTENSION + 32, EXTENSION + 40),
    'UNSUPPORTED',
    /RAFS v6: a bootstrap without a chunk table, .*: not supported$/,
  ],
  ['slot', (b) => b.write('x', 1408), 'BAD_FORMAT', /device slot 0 at byte 1408: .* the blob/],
  [
    'blob id',
    (b, at) => b.write('../x', at.blobTable),
    'BAD_FORMAT',
    /64 digits .* as its id, got/,
  ],
  ['number', (b, at) => b.writeUInt8(3, at.blobTable + 64), 'BAD_FORMAT', /number 0, got 3/],
  ['compressor', (b, at) => b.writeUInt8(4, at.blobTable + 76), 'BAD_FORMAT', /compressor 0 to 3/],
  ['digester', (b, at) => b.writeUInt8(2, at.blobTable + 80), 'BAD_FORMAT', /digester 0 or 1/],
  ['zran', (b, at) => b.writeUInt8(9, at.blobTable + 84), 'BAD_FORMAT', /information of version 2/],
  ['batch', (b, at) => b.writeUInt8(0x81, at.blobTable + 84), 'BAD_FORMAT', /of version 2, got/],
  ['info', (b, at) => b.writeUInt8(4, at.blobTable + 108), 'BAD_FORMAT', /compressor 0 to 3/],
  ['cipher', (b, at) => b.writeUInt8(1, at.blobTable + 216), 'UNSUPPORTED', /encrypted chunks/],
  ['cipher 2', (b, at) => b.writeUInt8(2, at.blobTable + 216), 'UNSUPPORTED', /encrypted chunks/],
  ['feature', (b, at) => b.writeUInt8(0x10, at.blobTable + 86), 'BAD_FORMAT', /features that are/],
  [
    'stored',
    (b, at) => b.writeUInt8(1, at.blobTable + 94),
    'LIMIT',
    /at most 1099511627776 stored/,
  ],
  [
    'plain',
    (b, at) => b.writeUInt8(1, at.blobTable + 102),
    'LIMIT',
    /at most 17592186044416 plain/,
  ],
  ['chunk blob', (b, at) => b.writeUInt8(1, at.chunkTable + 32), 'BAD_FORMAT', /a blob below 1/],
  ['chunk flag', (b, at) => b.writeUInt8(0x21, at.chunkTable + 36), 'BAD_FORMAT', /flags that are/],
  ['chunk key', (b, at) => b.writeUInt8(5, at.chunkTable + 36), 'UNSUPPORTED', /encrypted chunks/],
  [
    'a batch',
    (b, at) => b.writeUInt8(9, at.chunkTable + 36),
    'BAD_FORMAT',
    /a batch in a blob that/,
  ],
  ['no bytes', (b, at) => b.fill(0, at.chunkTable + 44, at.chunkTable + 48), 'BAD_FORMAT', /1 to/],
  ['bomb', (b, at) => b.writeUInt8(1, at.chunkTable + 47), 'BAD_FORMAT', /1 to 4096 plain bytes/],
  [
    'stored none',
    (b, at) => b.writeUInt16LE(0, at.chunkTable + 40),
    'BAD_FORMAT',
    /1 to \d+ stored/,
  ],
  ['not shrunk', (b, at) => b.writeUInt8(0, at.chunkTable + 36), 'BAD_FORMAT', /\d+ stored bytes/],
  ['unaligned', (b, at) => b.writeUInt8(1, at.chunkTable + 56), 'BAD_FORMAT', /a multiple of 4096/],
  ['far', (b, at) => b.writeUInt8(1, at.chunkTable + 61), 'BAD_FORMAT', /a chunk that ends by/],
  [
    'overlap',
    (b, at) => b.copy(b, at.chunkTable + 56, at.chunkTable + 136, at.chunkTable + 144),
    'BAD_FORMAT',
    /chunk table at byte \d+: expected a chunk from byte \d+ on, after the one at \d+, got/,
  ],
];

for (const [what, change, code, message] of REFUSED) {
  await test(`tables: ${what}`, async (t) => {
    const { bootstrap, at } = writeRafs(FILES);
    change(bootstrap, at);
    await t.rejects(open(bootstrap), { code, message });
  });
}

const WRONG_HINTS: [what: string, change: Change, note: RegExp][] = [
  ['size', (b) => b.writeUInt32LE(6, EXTENSION + 48), /numbers of 4 bytes, got 6/],
  ['place', (b) => b.writeUInt8(1, EXTENSION + 45), /prefetch table at byte \d{13}: expected/],
  ['long', (b) => b.writeUInt32LE(0xffff_fffc, EXTENSION + 48), /got 4294967292/],
  [
    'inode',
    (b, at) => b.writeUInt32LE(0x7fff_ffff, at.prefetch + 4),
    /prefetch table at byte \d+: expected an inode of the bootstrap, got 2147483647/,
  ],
];

for (const [what, change, note] of WRONG_HINTS) {
  await test(`a wrong prefetch table is a note: ${what}`, async (t) => {
    const { bootstrap, blobs, at } = writeRafs(FILES);
    bootstrap.writeUInt32LE(at.inode('dir/words') / 32, at.prefetch);
    change(bootstrap, at);
    const { tree, notes, blobs: needed } = await open(bootstrap);
    t.equal(tree.count, 8);
    t.equal(notes.length, 1);
    t.match(notes[0], /^image\.boot: its table of files to fetch first is not used: /);
    t.match(notes[0], note);
    const [blob] = [...blobs.values()];
    const spec = await needed[0]?.pieces('blob', blob?.length ?? 0, UNBOUNDED);
    t.same(spec?.prefetch, []);
  });
}

type ChangeInode = (bytes: Buffer, at: number, inode: WrittenRafs['at']['inode']) => unknown;
const BAD_INODES: [path: string, change: ChangeInode, code: string, message: RegExp][] = [
  ['empty', (b, at) => b.writeUInt16LE(0x1009, at), 'BAD_FORMAT', /a format below 16, got 4105/],
  [
    'empty',
    (b, at) => b.writeUInt16LE(0x5000, at + 4),
    'BAD_FORMAT',
    /a type of files, got 0o50000/,
  ],
  ['', (b, at) => b.writeUInt16LE(0x81a4, at + 4), 'BAD_FORMAT', /a directory as root/],
  ['dir', (b, at) => b.writeUInt16LE(60_000, at + 2), 'BAD_FORMAT', /up to the end, got/],
  ['dir', (b, at) => b.writeUInt8(1, at + 68), 'BAD_FORMAT', /no shared xattrs, as in RAFS, got 1/],
  [
    'dir',
    (b, at) => b.writeUInt8(9, at + 77),
    'BAD_FORMAT',
    /a prefix of xattrs that is known, got 9/,
  ],
  ['dir', (b, at) => b.writeUInt16LE(5000, at + 78), 'BAD_FORMAT', /an xattr that ends by/],
  ['dir/words', (b, at) => b.writeUInt8(1, at), 'BAD_FORMAT', /a file of chunks, got layout 0/],
  ['dir/words', (b, at) => b.writeUInt8(0, at + 16), 'BAD_FORMAT', /indexes of 8 bytes, got 0/],
  ['dir/words', (b, at) => b.writeUInt8(1, at + 15), 'BAD_FORMAT', /chunk indexes of inode \d+/],
  [
    'dir/words',
    (b, at) => b.writeUInt8(0, at + 66),
    'BAD_FORMAT',
    /the number of a blob, from 1 on/,
  ],
  [
    'dir/words',
    (b, at) => b.writeUInt8(2, at + 66),
    'BAD_FORMAT',
    /of blob 1, got none in the chunk/,
  ],
  ['dir/words', (b, at) => b.writeUInt8(99, at + 68), 'BAD_FORMAT', /got none in the chunk table/],
  [
    'dir/words',
    (b, at) => b.writeUInt8(0x21, at + 16),
    'BAD_FORMAT',
    /8192 bytes at \d+ .* got 4096/,
  ],
  ['link', (b, at) => b.writeUInt32LE(5000, at + 8), 'LIMIT', /a target of at most 4095 bytes/],
  ['link', (b, at) => b.writeUInt8(9, at), 'BAD_FORMAT', /in blocks or inline, got layout 4/],
  ['link', (b, at) => b.writeUInt32LE(0, at + 8), 'BAD_FORMAT', /the target of a symlink is ""/],
  [
    'dir',
    (b, at) => b.writeUInt32LE(0x7fff_ffff, at + 8),
    'BAD_FORMAT',
    /inode \d+ at byte \d+: expected at most/,
  ],
  [
    'dir',
    (b, at) => b.writeUInt32LE(4097, at + 8),
    'BAD_FORMAT',
    /data of inode|directory of inode/,
  ],
  [
    'dir/noise',
    (b, at) => b.writeUInt32LE(1e9, at + 40),
    'BAD_FORMAT',
    /its time is -5 s and 1000000000/,
  ],
  [
    'dir',
    (b, _, inode) => entryOfDir(b).writeBigUInt64LE(BigInt(inode('') / 32)),
    'BAD_FORMAT',
    /inode \d+ at byte \d+: expected a directory in one place, got a second place: "dir[^"]*"$/,
  ],
  ['dir', (b) => entryOfDir(b).fill(0xff, 0, 8), 'BAD_FORMAT', /inode 18446744073709552000/],
  ['dir', (b) => entryOfDir(b).writeUInt16LE(5, 8), 'BAD_FORMAT', /a name from byte \d+ of its/],
  ['', (b) => b.write('aa', nameIn(b, 'empty'), 'latin1'), 'BAD_FORMAT', /order of their bytes/],
  [
    '',
    (b) => b.write('em/ty', nameIn(b, 'empty'), 'latin1'),
    'BAD_FORMAT',
    /without slash and NUL/,
  ],
];

/** Where the names of the root are: `.` and `..`, then these. */
function namesIn(bytes: Buffer): number {
  return bytes.indexOf('...diremptyhardlinknull');
}

function nameIn(bytes: Buffer, name: string): number {
  return bytes.indexOf(name, namesIn(bytes));
}

/** The third of the seven entries of the root, which have 12 bytes. */
function entryOfDir(bytes: Buffer): Buffer {
  return bytes.subarray(namesIn(bytes) - 5 * 12);
}

for (const [path, change, code, message] of BAD_INODES) {
  await test(`inode of ${path}: ${message.source}`, async (t) => {
    const { bootstrap, at } = writeRafs(FILES);
    change(bootstrap, at.inode(path), at.inode);
    await t.rejects(open(bootstrap), { code, message });
  });
}

await test('at most MAX_PREFETCH_RANGES ranges of files are fetched first', async (t) => {
  const [x, y, z] = [2, 3, 4].map((byte) => Buffer.alloc(4096, byte)) as [Buffer, Buffer, Buffer];
  // No two chunks of "b" follow each other in the blob: each is a range, and the last one is too much.
  const ones = Buffer.alloc(4096 * (MAX_PREFETCH_RANGES - 1), 1);
  const files: RafsFile[] = [
    { path: '', type: 'dir' },
    { path: 'a', type: 'reg', bytes: Buffer.concat([x, y, z]) },
    { path: 'b', type: 'reg', bytes: Buffer.concat([ones, x, z]) },
  ];
  const { bootstrap, blobs, at } = writeRafs(files, { codec: 'none' });
  bootstrap.writeUInt32LE(at.inode('b') / 32, at.prefetch);
  const [blob] = [...blobs.values()];
  const { blobs: needed } = await open(bootstrap);
  const spec = await needed[0]?.pieces('blob', blob?.length ?? 0, UNBOUNDED);
  t.same(spec?.prefetch, [
    { begin: 0, end: 4096 },
    { begin: 12_288, end: 16_384 },
  ]);
});
