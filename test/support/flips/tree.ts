// The tree of the images that are damaged, and what the writers of every format need of it. Its two variants differ in contents,
// names, owners and attributes, and in no length: one takes the place of the other.
import type { EntryDraft } from '../../../daemon/tree/builder.js';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { writeErofs } from '../../../daemon/erofs/write.js';
import { readArchive } from '../../../daemon/tarball/read-archive.js';
import { mergeLayers } from '../../../daemon/tree/merge.js';
import { archiveMember, paxRecord, writeArchive } from '../archive-writer.js';
import { deviceOf } from '../erofs/device.js';
import { readErofs } from '../erofs/reader.js';
import { filesOf, type TreeFile } from '../forms/tree-files.js';
import { MemorySource } from '../memory-source.js';
import { randomBytes, textBytes } from '../pattern.js';

export interface FlipTree {
  readonly archive: Buffer;
  /** The archive as a disk. */
  readonly device: Buffer;
  readonly files: readonly TreeFile[];
}

/** @param layer 0 is whole; the layer 1 hides some of it, and replaces some */
export async function flipTree(variant: number, layer: 0 | 1 = 0): Promise<FlipTree> {
  const archive = layer === 0 ? lower(variant) : upper(variant);
  const tree = await readArchive(new MemorySource(archive, 'archive'), UNBOUNDED);
  const written = writeErofs(mergeLayers([tree]), { uuidSeed: [] });
  const device = deviceOf(written, [archive])(0, written.deviceSize);
  const { entries } = readErofs((at, n) => device.subarray(at, at + n), device.length);
  return { archive, device, files: filesOf(entries) };
}

/** Extended headers for the next entry. */
function attributes(...records: [key: string, value: string][]): Buffer {
  const content = records.map(([key, value]) => paxRecord(key, value)).join('');
  return archiveMember({ name: 'pax', type: 'x', content });
}

function lower(variant: number): Buffer {
  const name = `n${variant}`;
  const seed = 100 * (variant + 1);
  // Pieces of files of random bytes have the same length in every format.
  const noise = randomBytes(seed, 24_576);
  return Buffer.concat([
    archiveMember({ name: './', type: '5' }),
    attributes(['SCHILY.xattr.user.a', name], ['uid', `${1000 + variant}`]),
    archiveMember({ name: 'd/', type: '5' }),
    attributes(['mtime', `${1_700_000_000 + variant}`], ['SCHILY.xattr.security.x', `x${name}`]),
    archiveMember({ name: 'd/words', content: textBytes(seed, 30_000) }),
    archiveMember({ name: `d/${name}`, content: noise }),
    archiveMember({ name: 'd/noise', content: randomBytes(seed + 1, 24_576) }),
    archiveMember({ name: 'copy', content: noise }),
    archiveMember({ name: 'zeros', content: Buffer.alloc(20_000) }),
    archiveMember({ name: 'odd', content: randomBytes(seed + 2, 5001) }),
    archiveMember({ name: 'one', content: `${variant}` }),
    archiveMember({ name: 'empty' }),
    archiveMember({ name: 'hard', type: '1', content: `d/${name}` }),
    archiveMember({ name: 'soft', type: '2', content: `d/${name}` }),
    archiveMember({ name: 'pipe', type: '6' }),
    Buffer.alloc(1024),
  ]);
}

function upper(variant: number): Buffer {
  return writeArchive([
    { name: 'd/.wh.words' },
    { name: 'odd', content: randomBytes(300 + variant, 5001) },
    { name: `u${variant}`, content: textBytes(300 + variant, 10_000) },
  ]);
}

/** Two layers of a smaller tree, with contents that the writer of archives makes up. */
export function flipDrafts(variant: number): EntryDraft[][] {
  const common = { uid: 1000 + variant, gid: 5, mtime: 1_700_000_000 + variant, mtimeNs: 0 };
  const file = (path: string, size: number): EntryDraft => {
    const data = [{ fileOffset: 0, length: size, source: 0, offset: 0 }];
    return { ...common, path, type: 'reg', mode: 0o4755, size, data };
  };
  const folder = (path: string): EntryDraft => ({ ...common, path, type: 'dir', mode: 0o700 });
  const names = Array.from({ length: 12 }, (_, i) => `d/${variant}-${i}`);
  return [
    [folder('d'), ...names.map((name, i) => file(name, 1000 * (i + 1)))],
    [folder('e'), file(`d/${variant}-3`, 9000), file(`e/${variant}`, 5000)],
  ];
}
