// The parts of a turboOCI layer whose file system is EROFS: its metadata and an index of the layer in gzip, which has the
// contents of its files.
import { UNBOUNDED } from '../../daemon/lib/effort.js';
import { writeErofs, type WrittenErofs } from '../../daemon/erofs/write.js';
import { readArchive } from '../../daemon/tarball/read-archive.js';
import { mergeLayers } from '../../daemon/tree/merge.js';
import { gzipIndexOf, writeGzipIndex } from './gzip-index-writer.js';
import { writeLsmt, type LsmtSegment } from './lsmt-writer.js';
import { MemorySource } from './memory-source.js';
import { writeZfile } from './zfile-writer.js';

export interface TurboErofs {
  /** The layer's own file, a ZFile. */
  readonly metadata: Buffer;
  readonly gzipIndex: Buffer;
}

/** @param archive that of which `gzip` is made */
export async function writeTurboErofs(
  archive: Buffer,
  gzip: Buffer,
  spanSize: number,
): Promise<TurboErofs> {
  const written = await erofsOf(archive);
  const segments = segmentsOf(written, (moffset) => ({ moffset, tag: 1 }));
  return {
    metadata: writeZfile(writeLsmt({ virtualSize: written.deviceSize, segments })),
    gzipIndex: writeGzipIndex(await gzipIndexOf(gzip, spanSize)),
  };
}

export async function erofsOf(archive: Buffer): Promise<WrittenErofs> {
  const tree = await readArchive(new MemorySource(archive, 'archive'), UNBOUNDED);
  return writeErofs(mergeLayers([tree]), { uuidSeed: ['test'] });
}

/**
 * The file system as a layer.
 * @param content what a segment has that is contents: by its first sector in the archive, and its sectors
 */
export function segmentsOf(
  { metadata, rows }: WrittenErofs,
  content: (moffset: number, length: number) => Partial<LsmtSegment>,
): LsmtSegment[] {
  return Array.from({ length: rows.count }, (_, i) => {
    const [offset, length] = [rows.sectors[i] as number, rows.lengths[i] as number];
    if (rows.sources[i] === 0) return { offset, length, data: Buffer.from(metadata), tag: 0 };
    return { offset, length, ...content(rows.moffsets[i] as number, length) };
  });
}
