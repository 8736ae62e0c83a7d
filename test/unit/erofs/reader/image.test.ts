// Images that other programs have made, damaged field by field: what is wrong is refused with its place.
import { test } from 'tap';
import { ErofsImage } from '../../../../daemon/erofs/reader/image.js';
import { OverlaybdError } from '../../../../daemon/errors.js';
import { ImageEffort, TooLargeHere } from '../../../../daemon/opener/effort.js';
import { UNBOUNDED, type Effort } from '../../../../daemon/lib/effort.js';
import { writeComposefs, type ImageFile } from '../../../support/composefs-writer.js';
import { MemorySource } from '../../../support/memory-source.js';

const FILES: ImageFile[] = [
  { path: '', mode: 0o040755, mtime: 1, xattrs: { 'user.a': 'value' } },
  { path: 'd', mode: 0o040700, uid: 5, gid: 6, mtime: -2, mtimeNs: 7, nlink: 2 },
  { path: 'd/f', mode: 0o100644, inline: 'contents' },
  { path: 'd/g', mode: 0o100644, inline: 'x', isCompact: true, uid: 65_535 },
  { path: 'l', mode: 0o120777, inline: 'target' },
];
const { bytes: GOOD, inodes, directories } = writeComposefs(FILES);
const ROOT = inodes.get('') as number;
const D = inodes.get('d') as number;
const L = inodes.get('l') as number;
const ENTRIES = directories.get('') as number;
const SB = 1024;

async function read(bytes: Buffer, effort: Effort = UNBOUNDED): Promise<string[]> {
  const image = await ErofsImage.read(new MemorySource(bytes), effort);
  const seen: string[] = [];
  await image.walk(effort, ({ path, inode, folder, nameAt, nameLength }) => {
    const xattrs = [...image.xattrsOf(inode, effort).keys()].join(' ');
    const target = (inode.mode & 0o170000) === 0o120000 ? image.targetOf(inode) : '';
    const name = bytes.toString('latin1', nameAt, nameAt + nameLength);
    seen.push([path, folder, name, inode.uid, inode.mtime, xattrs + target].join(','));
  });
  return seen;
}

await test('a tree, with the places of its names', async (t) => {
  t.same((await read(GOOD)).toSorted(), [
    ',0,,0,1,user.a',
    'd,0,d,5,-2,',
    'd/f,1,f,0,0,',
    'd/g,1,g,65535,1000000000,',
    'l,0,l,0,0,target',
  ]);
});

const u8 = (at: number, value: number) => (b: Buffer) => void b.writeUInt8(value, at);
const u16 = (at: number, value: number) => (b: Buffer) => void b.writeUInt16LE(value, at);
const u32 = (at: number, value: number) => (b: Buffer) => void b.writeUInt32LE(value, at);
const u64 = (at: number, value: bigint) => (b: Buffer) => void b.writeBigUInt64LE(value, at);

await test('an xattr that no kernel shows is one of another name', async (t) => {
  const image = Buffer.from(GOOD);
  u8(ROOT + 64 + 13, 5)(image);
  t.ok((await read(image)).includes(',0,,0,1,lustre.a'));
});

const DAMAGES: [what: string, damage: (bytes: Buffer) => void, message: RegExp, code?: string][] = [
  ['block size', u8(SB + 12, 17), /superblock at byte 1036: expected a block size of 2\^9 to/],
  ['directory blocks', u8(SB + 90, 1), /superblock at byte 1114: expected 0, got 1/],
  ['epoch', u64(SB + 24, 1n << 62n), /superblock at byte 1048: expected a time/],
  ['nanoseconds', u32(SB + 32, 1e9), /superblock at byte 1056/],
  [
    'unknown feature',
    u32(SB + 80, 1 << 23),
    /not supported here: 0x00800000, which is/,
    'UNSUPPORTED',
  ],
  ['metabox', u32(SB + 80, 0x100), /not supported here: metabox$/, 'UNSUPPORTED'],
  ['root past the end', u16(SB + 14, 65_535), /inode 65535 at byte 2097120: expected an inode/],
  ['metadata past the end', u32(SB + 40, 0xffff_ffff), /expected an inode before byte/],
  ['root that is a file', u16(SB + 14, (inodes.get('d/f') as number) / 32), /expected a directory/],
  ['format', u16(ROOT, 0x41), /inode 128 at byte 4096: expected a known format, got 65/],
  ['xattrs past the end', u16(L + 2, 65_535), /inode \d+ at byte \d+: expected xattrs before/],
  ['size', u64(D + 8, 1n << 60n), /expected a size below 2\^53/],
  ['compressed', u16(D, 3), /compressed contents are not supported/, 'UNSUPPORTED'],
  ['chunks of a directory', u16(D, 9), /expected contents in blocks or inline, got chunks/],
  ['a long directory', u64(D + 8, 1n << 40n), /expected contents before byte/],
  [
    'a long target',
    u64(L + 8, 4096n),
    /expected a symlink's target of at most 4095 bytes, got 4096/,
  ],
  ['time', u64(D + 32, 1n << 62n), /expected a time/],
  ['entries', u16(ENTRIES + 8, 13), /directory 128 at byte \d+: expected entries of 12 bytes/],
  ['no entries', u16(ENTRIES + 8, 0), /directory 128 at byte \d+: expected entries of 12 bytes/],
  ['names', u16(ENTRIES + 20, 4095), /expected a name within bytes/],
  ['names backwards', u16(ENTRIES + 32, 48), /expected a name within bytes/],
  ['slash', u8(GOOD.indexOf('...dl', ENTRIES) + 3, 0x2f), /expected a name of 1 to 255 bytes/],
  ['large nid', u32(ENTRIES + 28, 1), /expected a nid below 2\^32/],
  [
    'loop',
    u64(ENTRIES + 24, BigInt(ROOT / 32)),
    /expected a directory with one name, got two; the second is "d"$/,
  ],
  ['many shared xattrs', u8(ROOT + 64 + 4, 255), /expected numbers of shared xattrs before/],
  ['a shared xattr', u8(ROOT + 64 + 4, 1), /xattrs of inode 128/],
  ['xattr name', u8(ROOT + 64 + 12, 200), /expected an xattr before byte/],
  ['xattr value', u16(ROOT + 64 + 14, 60_000), /expected an xattr before byte/],
  ['xattr prefix', u8(ROOT + 64 + 13, 9), /expected a known prefix, got 9/],
  ['long prefix', u8(ROOT + 64 + 13, 0x81), /expected a known prefix, got 129/],
];

for (const [what, damage, message, code = 'BAD_FORMAT'] of DAMAGES) {
  await test(what, async (t) => {
    const bytes = Buffer.from(GOOD);
    damage(bytes);
    await t.rejects(read(bytes), { code, message });
  });
}

await test('an xattr that is there twice', async (t) => {
  const xattrs = { 'user.a': '1', 'user.b': '2' };
  const { bytes } = writeComposefs([{ path: '', mode: 0o040755, xattrs }]);
  await t.resolves(read(bytes));
  bytes.write('a', ROOT + 64 + 12 + 8 + 4);
  await t.rejects(read(bytes), {
    code: 'BAD_FORMAT',
    message: /xattrs of inode 128 at byte 4180: expected each xattr once, got one twice/,
  });
});

await test('room that a tool kept free between xattrs', async (t) => {
  const xattrs = { 'user.a': '1', 'user.b': '2', 'user.c': '3' };
  const { bytes } = writeComposefs([{ path: '', mode: 0o040755, xattrs }]);
  // The one in the middle: two entries of zeros.
  bytes.fill(0, ROOT + 64 + 12 + 8, ROOT + 64 + 12 + 16);
  t.same(await read(bytes), [',0,,0,0,user.a user.c']);
});

await test('many names of one inode: its xattrs are counted for each', async (t) => {
  const half = 'x'.repeat(32_000);
  const files: ImageFile[] = [
    { path: '', mode: 0o040755 },
    { path: 'f', mode: 0o100644, xattrs: { 'user.a': half, 'user.b': half } },
  ];
  for (let i = 0; i < 50; i++) {
    files.push({ path: `${i}`, mode: 0o040755 });
    for (let j = 0; j < 200; j++) files.push({ path: `${i}/${j}`, mode: 0o100644, linkTo: 'f' });
  }
  const { bytes } = writeComposefs(files);
  await t.rejects(read(bytes), { code: 'LIMIT', message: /xattrs of more than 536870912 bytes$/ });
  await t.rejects(read(bytes, new ImageEffort(true)), TooLargeHere);
  const few = writeComposefs(files.slice(0, 203)).bytes;
  t.ok(few.length < 128 * 1024, 'small enough for the main thread by its length');
  await t.rejects(read(few, new ImageEffort(true)), TooLargeHere);
  t.equal((await read(few)).length, 203);
});

await test('an image that is cut anywhere', async (t) => {
  for (let size = 1152; size < GOOD.length - 4096 + 512; size += 61) {
    await read(GOOD.subarray(0, size)).catch((error: unknown) => {
      if (!(error instanceof OverlaybdError)) t.fail(String(error));
    });
  }
  t.pass('no other error');
});
