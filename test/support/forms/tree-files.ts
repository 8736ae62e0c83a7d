// The files of a tree that was read back from EROFS, and what every writer of images needs of them.
import { createHash } from 'node:crypto';
import { TYPE_BITS } from '../../../daemon/tree/file-types.js';
import type { ErofsEntry, ErofsInode } from '../erofs/reader.js';

/** A file, directory or other node. Texts are byte strings (latin1). */
export interface TreeFile extends Omit<ErofsInode, 'nid' | 'read'> {
  /** '' is the root, which comes first. A directory comes before what is in it. */
  path: string;
  /** Contents of a regular file. */
  bytes?: Buffer;
  /** The path of an earlier file: one more name of it. */
  sameAs?: string;
}

export function filesOf(entries: readonly ErofsEntry[]): TreeFile[] {
  const first = new Map<number, string>();
  return entries.map(({ path, inode }) => {
    const { nid, read, ...rest } = inode;
    const known = first.get(nid);
    first.set(nid, known ?? path);
    if (known !== undefined) return { ...rest, path, sameAs: known };
    return { ...rest, path, ...(read && { bytes: read() }) };
  });
}

/** The mode with the type. */
export const fullMode = ({ type, mode }: TreeFile): number => TYPE_BITS[type] | mode;

/** What must be equal: the number of an inode and the size of a directory are the business of each format. */
export function comparable(entries: readonly ErofsEntry[]): unknown[] {
  return filesOf(entries).map(({ bytes, ...rest }) => ({
    ...rest,
    size: bytes?.length,
    xattrs: { ...rest.xattrs },
    bytes: bytes && createHash('sha256').update(bytes).digest('hex'),
  }));
}
