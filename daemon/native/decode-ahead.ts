// Decodes the blocks of several reads on two cores. Conventions of all calls: addon.ts.

import { addon } from './addon.js';

/** One round of reads at a time for each thread. The helper never makes the caller wait for long. */
interface DecodeAhead {
  /**
   * To be called once on each thread, before the others.
   * @returns the memory of stored blocks, and that of plain bytes
   * @throws Error if there is no memory
   */
  open(): [stored: Uint8Array, plain: Uint8Array];
  /**
   * Begins a round, and forgets the ranges of the one before.
   * @returns false if nothing is gained by it: no core is free, or the helper is in a range. Then the ranges of the
   *   round before stay and can be finished, and none can be added
   */
  begin(): boolean;
  /**
   * Announces blocks that follow each other. Their bytes in both memories belong to the round from now on.
   * The arguments are those of `decodeBlocks`: block i is bytes [bounds[i], bounds[i + 1]) after `storedAt`.
   * @param fd where the stored bytes are to be read; -1: they are in the memory already
   * @param position of block 0 in the file
   * @returns the number of the range; -1 if no round has begun, there is no room for it, no library, or a byte is not
   *   at hand
   * @throws RangeError if it is not within the memory
   */
  add(
    codec: number,
    storedAt: number,
    bounds: Uint32Array,
    count: number,
    plainAt: number,
    blockSize: number,
    lastSize: number,
    lastWanted: number,
    crcSize: number,
    seed: number,
    fd: number,
    position: number,
  ): number;
  /** Makes the helper begin, with the last range. */
  wake(): void;
  /**
   * Reads and decodes a range, unless the helper has taken it.
   * @returns whether it is decoded; false: a block is bad, a byte is not at hand, or the helper was interrupted in it
   */
  finish(number: number): boolean;
  /**
   * How many ranges the helper has decoded.
   * @internal for tests: with and without its help, the bytes are the same
   */
  helped(): number;
}

export const decodeAhead = addon['ahead'] as DecodeAhead;
