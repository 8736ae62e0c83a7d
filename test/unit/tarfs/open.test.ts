// From an index of tarfs to a tree.
import { test } from 'tap';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { openTarfs } from '../../../daemon/tarfs/open.js';
import type { TreeEntry } from '../../../daemon/tree/layer-tree.js';
import { MemorySource } from '../../support/memory-source.js';
import { writeTarfs, type IndexedFile } from '../../support/tarfs-writer.js';

const FILES: IndexedFile[] = [
  { path: '', mode: 0o040755, mtime: 5 },
  { path: 'char', mode: 0o020600, rdev: [259, 1_048_575] },
  { path: 'd', mode: 0o040700, isOpaque: true },
  { path: 'd/f', mode: 0o100644, bytes: Buffer.alloc(700, 'x'), uid: 7, mtime: 2 ** 32 + 1 },
  { path: 'd/g', mode: 0o100644, linkTo: 'd/f' },
  { path: 'empty', mode: 0o100644, bytes: Buffer.alloc(0) },
  { path: 'gone', mode: 0o020000, rdev: [0, 0] },
  { path: 'l', mode: 0o120777, link: 'd/f' },
  { path: 'lost', mode: 0 },
  { path: 'p', mode: 0o010600 },
  { path: 's', mode: 0o140600 },
];
const { bytes: GOOD, inodes } = writeTarfs(FILES);

async function entriesOf(
  bytes: Buffer,
): Promise<{ entries: TreeEntry[]; notes: readonly string[] }> {
  const { tree, notes } = await openTarfs(new MemorySource(bytes), UNBOUNDED);
  return { entries: Array.from({ length: tree.count }, (_, i) => tree.entry(i)), notes };
}

await test('all types, whiteouts and hard links', async (t) => {
  const { entries, notes } = await entriesOf(GOOD);
  const named = (name: string): TreeEntry[] => entries.filter(({ path }) => path === name);
  t.match(named(''), [{ type: 'dir', mtime: 5 }]);
  t.match(named('char'), [{ type: 'char', rdev: { major: 259, minor: 1_048_575 } }]);
  t.match(named('d'), [{ type: 'dir' }, { type: 'opaque' }]);
  const data = [{ fileOffset: 0, length: 700, source: 0, offset: 1024 - 512 }];
  t.match(named('d/f'), [{ type: 'reg', size: 700, uid: 7, mtime: 2 ** 32 + 1, data }]);
  t.match(named('d/g'), [{ type: 'hardlink', target: 'd/f' }]);
  t.match(named('empty'), [{ type: 'reg', size: 0, data: [] }]);
  t.match(named('gone'), [{ type: 'whiteout' }]);
  t.match(named('l'), [{ type: 'symlink', target: 'd/f' }]);
  t.match(named('p'), [{ type: 'fifo', mode: 0o600 }]);
  t.equal(entries.length, 10);
  t.match(notes, [
    /1 folder left out, with all that is below: the archive has no entry for it/,
    /1 socket left out/,
  ]);
});

const at = (path: string): number => inodes.get(path) as number;
const u16 = (offset: number, value: number) => (b: Buffer) => void b.writeUInt16LE(value, offset);
const u64 = (offset: number, value: bigint) => (b: Buffer) =>
  void b.writeBigUInt64LE(value, offset);

const DAMAGES: [what: string, damage: (bytes: Buffer) => void, message: RegExp, code?: string][] = [
  ['a root that is a file', u16(at(''), 0o100644), /the root is not a directory: mode 0100644/],
  ['an unknown type', u16(at('p'), 0o170600), /entry "p" at byte \d+: an unknown type/],
  [
    'contents past the archive',
    u64(at('d/f') + 16, 1n << 40n),
    /contents up to byte \d+, and the archive ends at/,
  ],
  ['a huge file', u64(at('d/f') + 16, 1n << 60n), /contents up to byte/],
  ['contents that are not aligned', u64(at('d/f') + 24, 513n), /multiples of 512/, 'UNSUPPORTED'],
  ['a long target', u64(at('l') + 16, 5000n), /a symlink's target of 5000 bytes, at most 4095/],
  ['a target past the archive', u64(at('l') + 24, 1n << 40n), /contents up to byte/],
  ['a large device', u64(at('char') + 24, 1n << 60n), /device \d+:0, at most/, 'LIMIT'],
];

for (const [what, damage, message, code = 'BAD_FORMAT'] of DAMAGES) {
  await test(what, async (t) => {
    const bytes = Buffer.from(GOOD);
    damage(bytes);
    await t.rejects(entriesOf(bytes), { code, message });
  });
}

await test('a directory with two names', async (t) => {
  const { bytes, directories } = writeTarfs([
    { path: '', mode: 0o040755 },
    { path: 'd', mode: 0o040755 },
    { path: 'e', mode: 0o040755 },
  ]);
  bytes.writeUInt32LE(2, (directories.get('') as number) + 32);
  await t.rejects(entriesOf(bytes), { message: /a directory with two names; the second is "e"/ });
  bytes.writeUInt32LE(1, (directories.get('') as number) + 32);
  await t.rejects(entriesOf(bytes), { message: /a directory with two names/ });
});
