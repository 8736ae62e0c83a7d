// Long prefixes of names of xattrs: from a list in the image, or in its packed inode.
import { test } from 'tap';
import { ErofsImage } from '../../../../daemon/erofs/reader/image.js';
import { prefixRanges } from '../../../../daemon/erofs/reader/long-prefixes.js';
import { PagedImage } from '../../../../daemon/erofs/reader/paged-image.js';
import { readSuperblock } from '../../../../daemon/erofs/reader/superblock.js';
import { UNBOUNDED } from '../../../../daemon/lib/effort.js';
import { writeComposefs } from '../../../support/composefs-writer.js';
import { MemorySource } from '../../../support/memory-source.js';

const SB = 1024;
const LIST = Buffer.from('\x0b\0\x04overlay.my\0\0\0\x02\0\x01m\x01\0\x06\0', 'latin1');

/** The list is what a file has, which is the packed inode. */
const { bytes: GOOD, inodes } = writeComposefs([
  { path: '', mode: 0o040755, xattrs: { 'user.a': '1', 'user.b': '2', 'user.c': '3' } },
  { path: 'packed', mode: 0o100644, inline: `12345678${LIST.toString('latin1')}` },
]);
const ROOT = inodes.get('') as number;
const PACKED = inodes.get('packed') as number;
GOOD.writeUInt32LE(0x40, SB + 80);
GOOD[SB + 91] = 3;
for (const [i, at] of [12, 20, 28].entries()) GOOD[ROOT + 64 + at + 1] = 0x80 | i;
const LIST_AT = PACKED + 64 + 8;
const NAMES = ['trusted.overlay.mya', 'user.mb', 'security.c'];

function inImage(): Buffer {
  const bytes = Buffer.from(GOOD);
  bytes.writeUInt32LE(bytes.readUInt32LE(SB + 8) | 0x10, SB + 8);
  bytes.writeUInt32LE(LIST_AT / 4, SB + 92);
  return bytes;
}

function packed(): Buffer {
  const bytes = Buffer.from(GOOD);
  bytes.writeUInt32LE(2, SB + 92);
  bytes.writeUInt32LE(PACKED / 32, SB + 96);
  return bytes;
}

async function names(bytes: Buffer): Promise<string[]> {
  const image = await ErofsImage.read(new MemorySource(bytes), UNBOUNDED);
  let found: string[] = [];
  await image.walk(UNBOUNDED, ({ path, inode }) => {
    if (path === '') found = [...image.xattrsOf(inode, UNBOUNDED).keys()];
  });
  return found;
}

await test('in the image, and in the packed inode', async (t) => {
  t.equal(LIST_AT % 4, 0);
  t.same(await names(inImage()), NAMES);
  t.same(await names(packed()), NAMES);
});

await test('without the feature, and of another number', async (t) => {
  const without = inImage();
  without.writeUInt32LE(0, SB + 80);
  await t.rejects(names(without), { message: /expected a known prefix, got 128/ });
  const fewer = inImage();
  fewer[SB + 91] = 2;
  await t.rejects(names(fewer), {
    code: 'BAD_FORMAT',
    message: /xattrs of inode 128 .*expected a known prefix, got 130/,
  });
});

await test('pages of an image', async (t) => {
  for (const bytes of [inImage(), packed()]) {
    const read = (offset: number, length: number): Promise<Buffer> =>
      Promise.resolve(bytes.subarray(offset, offset + length));
    const image = await PagedImage.open({ name: 'image', size: bytes.length, read });
    await image?.needPrefixes();
    t.same(image?.longPrefixes, ['trusted.overlay.my', 'user.m', 'security.']);
  }
});

await test('a large packed inode: only the list of it', (t) => {
  const image = Buffer.alloc(400 << 20);
  packed().copy(image);
  const superblock = readSuperblock(image, 'image');
  // The inode is all of the image, and the list is in its middle.
  image.writeUInt16LE(1, PACKED);
  image.writeUInt32LE(image.length, PACKED + 8);
  image.writeUInt32LE(0, PACKED + 16);
  const ranges = prefixRanges(image, { ...superblock, xattrPrefixesAt: 1 << 20 }, 'image');
  t.same(ranges, [[1 << 20, (1 << 20) + 255 * 261]]);
  t.end();
});

const DAMAGES: [what: string, change: (bytes: Buffer) => void, message: RegExp][] = [
  [
    'a length of 0',
    (b) => b.writeUInt16LE(0, LIST_AT + 16),
    /long prefixes of xattrs at byte \d+: expected prefix 2 of 3, 1 to 256 bytes, got 0$/,
  ],
  ['a long one', (b) => b.writeUInt16LE(257, LIST_AT), /expected prefix 1 of 3.*got 257$/],
  [
    'a list that begins after the image',
    (b) => b.writeUInt32LE(0xffff_ffff, SB + 92),
    /expected prefix 1 of 3/,
  ],
  [
    'a list that ends after the image',
    (b) => b.writeUInt32LE((b.length - 4) / 4, SB + 92),
    /expected prefix 1 of 3/,
  ],
  ['the beginning of a prefix', (b) => b.writeUInt8(7, LIST_AT + 2), /number of a known prefix/],
];

for (const [what, change, message] of DAMAGES) {
  await test(what, async (t) => {
    const bytes = inImage();
    change(bytes);
    await t.rejects(names(bytes), { code: 'BAD_FORMAT', message });
  });
}

await test('a packed inode that is none, or is compressed', async (t) => {
  const none = packed();
  none.writeBigUInt64LE(1n << 60n, SB + 96);
  await t.rejects(names(none), { code: 'BAD_FORMAT', message: /inode/ });
  const compressed = packed();
  compressed.writeUInt16LE(3, PACKED);
  await t.rejects(names(compressed), { code: 'UNSUPPORTED', message: /compressed contents/ });
});
