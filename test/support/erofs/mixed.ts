// A tree with something of everything, and with everything that is at a limit.
import type { EntryDraft } from '../../../daemon/tree/builder.js';

const label = Buffer.from('system_u:object_r:bin_t:s0\0');
/** An access control list as the kernel has it: version 2, then entries of tag, permissions and id. */
const acl = Buffer.from(
  '02000000' +
    '01000600ffffffff' +
    '02000400e8030000' +
    '04000400ffffffff' +
    '10000400ffffffff' +
    '20000000ffffffff',
  'hex',
);

function file(path: string, size: number, offset: number): EntryDraft {
  const data = [{ fileOffset: 0, length: size, source: 0, offset }];
  return { path, type: 'reg', mode: 0o644, size, data };
}

/** The content source of {@link MIXED} has this many bytes. */
export const MIXED_SOURCE_SIZE = 1_100_000;

/** Entries of one layer, with content source 0. */
export const MIXED: readonly EntryDraft[] = [
  { path: '', type: 'dir', mode: 0o1777, uid: 1, gid: 2, mtime: 3, mtimeNs: 4 },
  ...[0, 1, 511, 512, 513, 4095, 4096, 4097, 65_537].map((size, i) =>
    file(`sizes/${size}`, size, 512 + 70_144 * i),
  ),
  { path: 'hard', type: 'hardlink', target: 'sizes/4097' },
  { path: 'also', type: 'hardlink', target: 'sizes/4097' },
  {
    path: 'sparse',
    type: 'reg',
    mode: 0o600,
    size: 1_000_001,
    data: [
      { fileOffset: 8192, length: 1024, source: 0, offset: 512 },
      { fileOffset: 999_936, length: 65, source: 0, offset: 99_840 },
    ],
  },
  { path: 'hole', type: 'reg', size: 5000, mode: 0o4755 },
  ...[0, 1_700_000_000, -5, 2 ** 33, -(2 ** 31) - 1].map((mtime, i): EntryDraft => {
    return { path: `times/${i}`, type: 'fifo', mtime, mtimeNs: 250_000_000 * (i % 4), mode: 0o600 };
  }),
  { path: 'owner', type: 'dir', uid: 4_294_967_294, gid: 3_000_000, mode: 0o6711 },
  { path: 'char', type: 'char', rdev: { major: 4095, minor: 1_048_575 }, mode: 0o660 },
  { path: 'block', type: 'block', rdev: { major: 8, minor: 257 }, mode: 0o660 },
  { path: 'zero', type: 'char', rdev: { major: 0, minor: 0 } },
  ...[1, 60, 4000, 4031, 4032, 4033, 4095].map((length): EntryDraft => {
    return { path: `links/${length}`, type: 'symlink', target: 'x'.repeat(length) };
  }),
  { path: 'links/hard', type: 'hardlink', target: 'links/60' },
  { path: 'names/\xff\n\x01 \\"', type: 'dir', mode: 0o755 },
  { path: `names/${'n'.repeat(255)}`, type: 'fifo' },
  ...['!', '-', '...', '..a', 'A', 'a', 'aa', '\xc3\xa4'].map((name): EntryDraft => {
    return { path: `names/${name}`, type: 'dir', mode: 0o700 };
  }),
  ...Array.from({ length: 2000 }, (_, i) => file(`many/file-${i}`, (i * 37) % 5000, 512 * i)),
  ...Array.from({ length: 8 }, (_, i): EntryDraft => {
    const xattrs = new Map([
      ['security.selinux', label],
      [`user.${i}`, Buffer.alloc(i * 300, i)],
    ]);
    return { path: `xattrs/label-${i}`, type: 'fifo', xattrs };
  }),
  {
    path: 'xattrs/all',
    type: 'dir',
    mode: 0o755,
    xattrs: new Map([
      ['security.selinux', label],
      ['security.capability', Buffer.from('0100000200040000000000000000000000000000', 'hex')],
      ['system.posix_acl_access', acl],
      ['system.posix_acl_default', acl],
      ['trusted.b', Buffer.from([0, 255])],
      ['user.empty', Buffer.alloc(0)],
    ]),
  },
  { path: 'xattrs/large', type: 'fifo', xattrs: new Map([['user.x', Buffer.alloc(60_000, 'v')]]) },
  {
    path: 'xattrs/many',
    type: 'dir',
    xattrs: new Map(
      Array.from({ length: 300 }, (_, i) => [`user.${1000 + i}`, Buffer.from(`${i}`)] as const),
    ),
  },
  { path: Array.from({ length: 60 }, (_, i) => `deep${i}`).join('/'), type: 'dir', mode: 0o755 },
];
