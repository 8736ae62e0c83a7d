// What numbers of Linux say about a file: its type in the high bits of the mode, and the number of a device in one word.

import type { DeviceNumber, EntryType } from './layer-tree.js';

/** The six types that a file of an image can have. */
export type FileType = Exclude<EntryType, 'hardlink' | 'whiteout' | 'opaque'>;

const TYPE_MASK = 0o170000;

/** The high bits of a mode. A socket is of use only to the program that made it: images have none. */
export const TYPE_BITS: Readonly<Record<FileType | 'socket', number>> = {
  fifo: 0o010000,
  char: 0o020000,
  dir: 0o040000,
  block: 0o060000,
  reg: 0o100000,
  symlink: 0o120000,
  socket: 0o140000,
};

const TYPES: ReadonlyMap<number, FileType | 'socket'> = new Map(
  Object.entries(TYPE_BITS).map(([type, bits]) => [bits, type as FileType | 'socket']),
);

/** @returns undefined if Linux has no such type */
export function typeOfMode(mode: number): FileType | 'socket' | undefined {
  return TYPES.get(mode & TYPE_MASK);
}

/** @param word major and minor number as Linux stores them in 32 bits */
export function deviceOfWord(word: number): DeviceNumber {
  return { major: (word >>> 8) & 0xfff, minor: (word & 0xff) | ((word >>> 12) & 0xf_ff00) };
}
