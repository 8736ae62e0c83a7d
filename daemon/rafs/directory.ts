// Directories of a bootstrap, as they are in EROFS: blocks of entries, each with its names.

import { compareBytes } from '../tree/names.js';
import { quoted } from '../lib/printable.js';
import type { ImageBytes } from './image-bytes.js';
import { blocksOf, type FlatInode } from './inode.js';

const ENTRY = 12;

export interface Dirent {
  /** Bytes as latin1; neither `.` nor `..`. */
  readonly name: string;
  readonly nid: number;
}

/**
 * The entries of a directory in the order of their names.
 * @throws OverlaybdError BAD_FORMAT
 */
export function* direntsOf(image: ImageBytes, inode: FlatInode): Generator<Dirent> {
  let last: string | null = null;
  for (const block of blocksOf(image, inode)) {
    for (const dirent of entriesOf(image, inode, block)) {
      const { name } = dirent;
      if (last !== null && compareBytes(last, name) >= 0) {
        throw bad(image, inode, 'names in the order of their bytes, each once', name);
      }
      last = name;
      if (name !== '.' && name !== '..') yield dirent;
    }
  }
}

function* entriesOf(image: ImageBytes, inode: FlatInode, block: Buffer): Generator<Dirent> {
  const namesAt = block.length >= ENTRY ? block.readUInt16LE(8) : 0;
  if (namesAt < ENTRY || namesAt % ENTRY !== 0 || namesAt > block.length) {
    throw bad(image, inode, `names after entries of ${ENTRY} bytes`, namesAt);
  }
  let begin = namesAt;
  for (let at = 0; at < namesAt; at += ENTRY) {
    const isLast = at + ENTRY === namesAt;
    const end = isLast ? lastEnd(block, begin) : block.readUInt16LE(at + ENTRY + 8);
    if (end <= begin || end > block.length) {
      throw bad(image, inode, `a name from byte ${begin} of its block on`, `its end at ${end}`);
    }
    const name = block.toString('latin1', begin, end);
    if (/[/\0]/.test(name)) throw bad(image, inode, 'a name without slash and NUL', name);
    // Above 2^53 it is rounded, and outside the bootstrap in any case.
    yield { name, nid: block.readUInt32LE(at + 4) * 2 ** 32 + block.readUInt32LE(at) };
    begin = end;
  }
}

/** The last name ends at a NUL or with the block. */
function lastEnd(block: Buffer, begin: number): number {
  const nul = block.indexOf(0, begin);
  return nul < 0 ? block.length : nul;
}

function bad(
  image: ImageBytes,
  { nid, at }: FlatInode,
  expected: string,
  got: string | number,
): Error {
  const shown = typeof got === 'string' ? quoted(got) : got;
  return image.bad(`directory of inode ${nid}`, at, expected, shown);
}
