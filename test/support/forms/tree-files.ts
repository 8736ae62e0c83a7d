// The files of a tree that was read back from EROFS, and what every writer of images needs of them.
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

/** File types as the modes of inodes have them. */
const TYPE_BITS = {
  fifo: 0o010000,
  char: 0o020000,
  dir: 0o040000,
  block: 0o060000,
  reg: 0o100000,
  symlink: 0o120000,
} as const;

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
    bytes: bytes?.toString('latin1'),
  }));
}
