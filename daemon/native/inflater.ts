// Inflating of gzip that says where the blocks of a stream begin, with the zlib that is in Node.js. Conventions of all
// calls: addon.ts.

import { addon } from './addon.js';

/** Why `run` has stopped. */
export const INFLATE_MORE = 0;
export const INFLATE_MEMBER_END = 1;
export const INFLATE_BAD_DATA = 2;
export const INFLATE_NO_MEMORY = 3;

/** What a stream refers back to, at most: room for `window`. */
export const INFLATE_WINDOW = 32_768;

interface Inflaters {
  /** @returns its number; -ENOSYS if this Node.js has no zlib for addons, or if there is no memory */
  open(): number;
  /**
   * Inflates `length` bytes of `src` from `offset` on into `dst`: until the input ends, the output is full or the member
   * ends. After the end of a member it begins with the next one, whose header and checksum zlib checks as well.
   * @param toBlock 1: no further than to the next block
   * @param progress receives the bytes that were consumed and those that were produced; 1 if the next bit is the first
   *   of a block; how many high bits of the last consumed byte belong to what follows
   * @returns INFLATE_MORE and so on; -EBADF: there is no such inflater
   */
  run(
    inflater: number,
    src: Uint8Array,
    offset: number,
    length: number,
    dst: Uint8Array,
    dstOffset: number,
    dstLength: number,
    toBlock: 0 | 1,
    progress: Int32Array,
  ): number;
  /**
   * Copies the last bytes of the output.
   * @param to has room for INFLATE_WINDOW
   * @returns how many they are
   */
  window(inflater: number, to: Uint8Array): number;
  close(inflater: number): number;
}

export const inflaters = addon['inflaters'] as Inflaters;
