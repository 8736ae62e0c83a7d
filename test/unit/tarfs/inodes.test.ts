// Inodes and directories of an index, damaged field by field.
import { test } from 'tap';
import { TarfsIndex } from '../../../daemon/tarfs/inodes.js';
import { readTarfsSuperblock } from '../../../daemon/tarfs/superblock.js';
import { MemorySource } from '../../support/memory-source.js';
import { writeTarfs } from '../../support/tarfs-writer.js';

const {
  bytes: GOOD,
  inodes,
  directories,
} = writeTarfs([
  { path: '', mode: 0o040755, uid: 1, gid: 2, mtime: 2 ** 33 + 3, isOpaque: true },
  { path: 'd', mode: 0o040700 },
  { path: 'f\xff', mode: 0o100644, bytes: Buffer.from('contents') },
]);
const ROOT = inodes.get('') as number;
const ENTRIES = directories.get('') as number;

async function indexOf(change: (bytes: Buffer) => void = () => undefined): Promise<TarfsIndex> {
  const bytes = Buffer.from(GOOD);
  change(bytes);
  const superblock = await readTarfsSuperblock(new MemorySource(bytes));
  return new TarfsIndex('layer', bytes.subarray(superblock.table, superblock.end), superblock);
}

await test('an inode and its entries', async (t) => {
  const index = await indexOf();
  const root = index.inode(1);
  t.match(root, { at: ROOT, mode: 0o040755, isOpaque: true, uid: 1, gid: 2, mtime: 2 ** 33 + 3 });
  t.same(
    [...index.dirents(root)],
    [
      { name: 'd', inode: 2 },
      { name: 'f\xff', inode: 3 },
    ],
  );
  t.match(index.inode(3), { size: 8, offset: 512, isOpaque: false });
  for (const number of [0, 4, 2 ** 53]) {
    t.throws(() => index.inode(number), { message: /expected an inode from 1 to 3, got/ });
  }
});

const u64 = (at: number, value: bigint) => (b: Buffer) => void b.writeBigUInt64LE(value, at);

const DAMAGES: [what: string, damage: (bytes: Buffer) => void, message: RegExp][] = [
  ['a part of an entry', u64(ROOT + 16, 33n), /expected entries of 32 bytes, got 33/],
  [
    'a directory in the archive',
    u64(ROOT + 24, 0n),
    /expected a directory from byte \d+ to \d+, got 64 at 0/,
  ],
  ['a directory past the end', u64(ROOT + 16, 1n << 60n), /expected a directory from byte/],
  [
    'a name past the end',
    u64(ENTRIES + 8, 1n << 60n),
    /expected a name of 1 to 255 bytes from byte/,
  ],
  ['a name in the archive', u64(ENTRIES + 8, 1n), /expected a name of 1 to 255 bytes from byte/],
  ['a long name', u64(ENTRIES + 16, 256n), /got 256 at/],
  ['no name', u64(ENTRIES + 16, 0n), /expected the name of a file, got ""/],
];

for (const [what, damage, message] of DAMAGES) {
  await test(what, async (t) => {
    const index = await indexOf(damage);
    t.throws(() => [...index.dirents(index.inode(1))], { code: 'BAD_FORMAT', message });
  });
}

await test('directories that overlap cannot be any number', async (t) => {
  const index = await indexOf();
  const root = index.inode(1);
  const again = (): void => {
    for (let i = 0; i < 1000; i++) for (const _ of index.dirents(root));
  };
  t.throws(again, { code: 'BAD_FORMAT', message: /directories within the \d+ bytes of the index/ });
});
