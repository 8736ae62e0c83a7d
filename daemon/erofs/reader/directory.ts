// The entries of a directory of an EROFS image that another program has made.

import { formatError } from '../../errors.js';
import { MAX_NAME_BYTES } from '../../tree/limits.js';
import { DIRENT } from '../format.js';
import { flatExtents } from './contents.js';
import type { ErofsInode } from './inode.js';
import type { Superblock } from './superblock.js';

/** Offset of the type of an entry, and the number of sockets. */
const TYPE = 10;
const SOCKET = 6;

export interface Dirent {
  /** One character a byte. */
  readonly name: string;
  readonly nid: number;
  /** Byte offset of the name in the image. */
  readonly nameAt: number;
  /** As the directory says; its inode may say something else. */
  readonly isSocket: boolean;
}

/**
 * Reads the entries of a directory, without `.` and `..`, those of one block after another.
 * @throws OverlaybdError BAD_FORMAT
 */
export function* readDirectory(
  image: Buffer,
  sb: Superblock,
  inode: ErofsInode,
  blob: string,
): Generator<readonly Dirent[]> {
  for (const { offset, length } of flatExtents(inode, sb, image.length, blob)) {
    for (let at = 0; at < length; at += sb.blockSize) {
      const end = offset + Math.min(at + sb.blockSize, length);
      yield readBlock(image, offset + at, end, inode.nid, blob);
    }
  }
}

function readBlock(image: Buffer, begin: number, end: number, nid: number, blob: string): Dirent[] {
  const bad = (offset: number, expected: string, got: string | number): Error =>
    formatError({ blob, section: `directory ${nid}`, offset, expected, got });
  const size = end - begin;
  const namesAt = size < DIRENT ? 0 : image.readUInt16LE(begin + 8);
  if (namesAt < DIRENT || namesAt % DIRENT !== 0 || namesAt >= size) {
    throw bad(begin, `entries of ${DIRENT} bytes and names within ${size} bytes`, namesAt);
  }
  const entries: Dirent[] = [];
  for (let at = 0; at < namesAt; at += DIRENT) {
    const here = begin + at;
    const from = image.readUInt16LE(here + 8);
    const isLast = at + DIRENT === namesAt;
    const to = isLast ? size : image.readUInt16LE(here + DIRENT + 8);
    if (from < namesAt || to <= from || to > size) {
      throw bad(here, `a name within bytes ${namesAt} to ${size}`, `${from} to ${to}`);
    }
    const stored = image.toString('latin1', begin + from, begin + to);
    // The last name ends at a NUL or at the end of the block.
    const name = isLast ? (stored.split('\0', 1)[0] as string) : stored;
    if (name === '.' || name === '..') continue;
    if (name === '' || name.length > MAX_NAME_BYTES || /[/\0]/.test(name)) {
      throw bad(here, `a name of 1 to ${MAX_NAME_BYTES} bytes`, `${name.length} bytes`);
    }
    if (image.readUInt32LE(here + 4) !== 0) throw bad(here, 'a nid below 2^32', 'a larger one');
    const isSocket = image[here + TYPE] === SOCKET;
    entries.push({ name, nid: image.readUInt32LE(here), nameAt: begin + from, isSocket });
  }
  return entries;
}
