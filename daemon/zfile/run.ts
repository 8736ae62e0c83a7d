// A run of stored blocks that follow each other: which ones are read with one read, and where each is in
// the bytes that were read. One object is planned again and again.

import { DECODE_HEADROOM, type Batch } from '../codec/batch.js';
import type { Blocks } from './blocks.js';
import { BLOCK_CRC_SEED, BLOCK_CRC_SIZE, MAX_BLOCK_SIZE, MAX_STORED_OVERHEAD } from './format.js';

/** Most blocks of a run. */
const RUN_BLOCKS = 256;
/** Most stored bytes of a run, unless one block alone is longer. */
const RUN_BYTES = 256 * 1024;
const CAPACITY = Math.max(RUN_BYTES, MAX_BLOCK_SIZE + MAX_STORED_OVERHEAD + BLOCK_CRC_SIZE);

export class Run {
  /** The first block. */
  first = 0;
  /** Number of blocks. */
  count = 0;
  /** Byte offset in the file of the first stored block. */
  begin = 0;
  /** Bytes of all stored blocks. */
  stored = 0;
  /** The run as a decoder takes it: block `first` is its block 0. The reader fills `src` from `base` on. */
  readonly batch: Batch = {
    src: Buffer.allocUnsafeSlow(DECODE_HEADROOM + CAPACITY),
    base: DECODE_HEADROOM,
    bounds: new Uint32Array(RUN_BLOCKS + 1),
    blockSize: 0,
    crcSize: 0,
    crcSeed: BLOCK_CRC_SEED,
  };

  /** Takes as many of the blocks [first, end) as one run can have; none if the range is empty. */
  plan(blocks: Blocks, first: number, end: number): void {
    const { batch } = this;
    const { bounds } = batch;
    const begin = blocks.storedAt(first);
    const most = Math.min(end - first, RUN_BLOCKS);
    let count = 0;
    bounds[0] = 0;
    while (count < most) {
      const next = blocks.storedAt(first + count + 1) - begin;
      if (next > RUN_BYTES && count > 0) break;
      bounds[++count] = next;
    }
    batch.blockSize = blocks.blockSize;
    batch.crcSize = blocks.crcSize;
    this.first = first;
    this.count = count;
    this.begin = begin;
    this.stored = bounds[count] as number;
  }
}
