// Blobs of eStargz, stargz and zstd:chunked whose table of contents was changed before it was compressed: damage of the
// blob itself hardly ever reaches it.
import * as fc from 'fast-check';
import { writeEstargz, type TocFile, type WriteOptions } from './estargz-writer.js';
import { randomBytes, textBytes } from './pattern.js';

const FILES: readonly TocFile[] = [
  { entry: { name: './', type: 'dir', mode: 0o755, modtime: '2023-11-14T22:13:20Z' } },
  { entry: { name: './dir/', type: 'dir', xattrs: { 'user.a': 'AAEC' } } },
  { entry: { name: 'dir/words', type: 'reg', uid: 5, gid: 6 }, bytes: textBytes(1, 9000) },
  { entry: { name: 'dir/noise', type: 'reg' }, bytes: randomBytes(2, 3000) },
  { entry: { name: 'empty', type: 'reg' } },
  { entry: { name: 'link', type: 'symlink', linkName: 'dir/words' } },
  { entry: { name: 'hard', type: 'hardlink', linkName: 'dir/words' } },
  { entry: { name: 'other', type: 'hardlink', linkName: 'hard' } },
  { entry: { name: 'null', type: 'char', devMajor: 1, devMinor: 3 } },
  { entry: { name: 'pipe', type: 'fifo' } },
  { entry: { name: 'dir/.wh.gone', type: 'reg' } },
];

export function healthyToc(form: WriteOptions['form']): Buffer {
  return writeEstargz(FILES, { form, pieceSize: 4000 }).blob;
}

const VALUES: readonly unknown[] = [
  null,
  true,
  '',
  'x',
  'dir',
  'reg',
  'chunk',
  'hardlink',
  'symlink',
  'zeros',
  '..',
  '../../x',
  'dir/words/x',
  '/',
  'link/x',
  '.wh.x',
  '.wh..wh..opq',
  'a'.repeat(300),
  'a/'.repeat(3000),
  '\0',
  '\ud800',
  `sha256:${'0'.repeat(64)}`,
  'sha256:',
  '0000-00-00T00:00:00Z',
  0,
  1,
  -1,
  0.5,
  511,
  4000,
  65_536,
  2 ** 24,
  2 ** 31,
  2 ** 32,
  2 ** 44,
  2 ** 53,
  2 ** 60,
  1e300,
  [],
  {},
  { 'user.x': 'AA==' },
  { '': '!' },
  [[[]]],
];
const KEYS = [
  'name',
  'type',
  'size',
  'modtime',
  'linkName',
  'mode',
  'uid',
  'gid',
  'offset',
  'innerOffset',
  'devMajor',
  'xattrs',
  'digest',
  'chunkOffset',
  'chunkSize',
  'chunkDigest',
  'chunkType',
];

const change = fc.record({
  kind: fc.constantFrom('set' as const, 'copy' as const, 'move' as const, 'remove' as const),
  entry: fc.nat(20),
  other: fc.nat(20),
  key: fc.constantFrom(...KEYS),
  value: fc.oneof(fc.constantFrom(...VALUES), fc.nat(20_000)),
});

export const hostileToc = fc.record({
  form: fc.constantFrom<WriteOptions['form'][]>(
    'eStargz',
    'stargz',
    'zstd:chunked old',
    'zstd:chunked',
  ),
  changes: fc.array(change, { minLength: 1, maxLength: 4 }),
});
export type HostileToc = typeof hostileToc extends fc.Arbitrary<infer T> ? T : never;

export function writeHostileToc({ form, changes }: HostileToc): Buffer {
  return writeEstargz(FILES, {
    form,
    pieceSize: 4000,
    change: (toc) => {
      const entries = toc.entries.map((entry) => ({ ...entry }));
      for (const { kind, entry, other, key, value } of changes) {
        const at = entry % entries.length;
        if (kind === 'set') (entries[at] as Record<string, unknown>)[key] = value;
        else if (kind === 'copy') entries.splice(other, 0, { ...entries[at] });
        else if (entries.length > 1) {
          const [taken] = entries.splice(at, 1);
          if (kind === 'move' && taken) entries.splice(other, 0, taken);
        }
      }
      return { version: 1, entries };
    },
  }).blob;
}
