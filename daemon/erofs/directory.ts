// The contents of a directory: blocks of entries in the order of the names' bytes, each block with its own names.

import { BLOCK, DIRENT } from './format.js';

/** Bytes of a directory: full blocks, and the last one up to the end of its last name. */
export function directorySize(names: readonly string[]): number {
  let blocks = 0;
  let used = 0;
  for (const { length } of names) {
    if (used + DIRENT + length > BLOCK) {
      blocks++;
      used = 0;
    }
    used += DIRENT + length;
  }
  return blocks * BLOCK + used;
}

/** Names are short: a call of Node.js for each takes longer. */
function writeName(view: DataView, name: string, at: number): void {
  for (let i = 0; i < name.length; i++) view.setUint8(at + i, name.charCodeAt(i));
}

/** What an entry has besides its name. */
export interface Dirent {
  readonly nid: number;
  /** The number for its file type. */
  readonly type: number;
}

/**
 * Writes a directory.
 * @param direntOf what each name has, by its place in `names`
 * @param places where each block goes: a byte offset
 */
export function writeDirectory(
  view: DataView,
  names: readonly string[],
  direntOf: (i: number) => Dirent,
  places: (block: number) => number,
): void {
  let first = 0;
  for (let block = 0; first < names.length; block++) {
    let used = 0;
    let end = first;
    while (end < names.length) {
      const { length } = names[end] as string;
      if (used + DIRENT + length > BLOCK) break;
      used += DIRENT + length;
      end++;
    }
    const begin = places(block);
    let nameOffset = DIRENT * (end - first);
    for (let i = first; i < end; i++) {
      const name = names[i] as string;
      const { nid, type } = direntOf(i);
      const at = begin + DIRENT * (i - first);
      // A nid has 64 bits on disk; ours fit 32.
      view.setUint32(at, nid, true);
      view.setUint16(at + 8, nameOffset, true);
      view.setUint8(at + 10, type);
      writeName(view, name, begin + nameOffset);
      nameOffset += name.length;
    }
    first = end;
  }
}
