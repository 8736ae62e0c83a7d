// Directories of a bootstrap, as they are in EROFS: blocks of entries, each with its names.

import { u64le, viewOf } from '../lib/bytes.js';
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
    const view = viewOf(block);
    const namesAt = namesOf(image, inode, view);
    let begin = namesAt;
    for (let at = 0; at < namesAt; at += ENTRY) {
      const isLast = at + ENTRY === namesAt;
      const end = isLast ? lastEnd(block, begin) : view.getUint16(at + ENTRY + 8, true);
      if (end <= begin || end > block.length) {
        const expected = `a name from byte ${begin} of its block on`;
        throw bad(image, inode, expected, `its end at ${end}`);
      }
      const name = block.toString('latin1', begin, end);
      if (name.includes('/') || name.includes('\0')) {
        throw bad(image, inode, 'a name without slash and NUL', name);
      }
      if (last !== null && compareBytes(last, name) >= 0) {
        throw bad(image, inode, 'names in the order of their bytes, each once', name);
      }
      last = name;
      begin = end;
      // Above 2^53 a nid is rounded, and outside the bootstrap in any case.
      if (name !== '.' && name !== '..') yield { name, nid: u64le(view, at) };
    }
  }
}

/** Where the names of a block begin. */
function namesOf(image: ImageBytes, inode: FlatInode, block: DataView): number {
  const namesAt = block.byteLength >= ENTRY ? block.getUint16(8, true) : 0;
  if (namesAt >= ENTRY && namesAt % ENTRY === 0 && namesAt <= block.byteLength) return namesAt;
  throw bad(image, inode, `names after entries of ${ENTRY} bytes`, namesAt);
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
