// The jump table: where each stored block of a ZFile begins. 2 to 4 bytes a block, in shared
// memory, built once and read by every reactor. Not the on-disk form, which is a list of lengths.

import { formatError, type OverlaybdError } from '../errors.js';
import { viewOf } from '../lib/bytes.js';
import { addLengths } from '../native/block-offsets.js';
import { BLOCK_CRC_SIZE, MAX_STORED_OVERHEAD, ZFILE_HEADER_SIZE } from './format.js';

/** Within a group, offsets are deltas from the group's first block: u16, or u32 for large blocks. */
const MAX_NARROW_DELTA = 0xffff;
/** With fewer blocks in a group, the offsets of groups would cost more than u32 deltas. */
const MIN_NARROW_SHIFT = 2;
/** 2^15 blocks of the greatest length, 66052 bytes, stay below 2^32. */
const WIDE_GROUP_SHIFT = 15;

/** The parts of a table, all in shared memory: cheap to hand to a worker. */
export interface JumpTableData {
  /** log2 of the blocks in a group. */
  readonly groupShift: number;
  /** Number of blocks. */
  readonly count: number;
  /** Byte offset in the file of the first block of each group. */
  readonly groups: Float64Array<SharedArrayBuffer>;
  /** Bytes from there, for every block and for the end of the last one. */
  readonly deltas: Uint16Array<SharedArrayBuffer> | Uint32Array<SharedArrayBuffer>;
}

/** log2 of the blocks in a group, so that the longest legal blocks cannot overflow a u16 delta. */
function narrowShiftOf(blockSize: number): number {
  const longest = blockSize + MAX_STORED_OVERHEAD + BLOCK_CRC_SIZE;
  return Math.floor(Math.log2(Math.floor(MAX_NARROW_DELTA / longest) + 1));
}

function formOf(blockSize: number): { isNarrow: boolean; groupShift: number } {
  const narrowShift = narrowShiftOf(blockSize);
  const isNarrow = narrowShift >= MIN_NARROW_SHIFT;
  return { isNarrow, groupShift: isNarrow ? narrowShift : WIDE_GROUP_SHIFT };
}

/** Bytes of a table for `count` blocks. */
export function tableBytes(count: number, blockSize: number): number {
  const { isNarrow, groupShift } = formOf(blockSize);
  return 8 * ((count >>> groupShift) + 1) + (isNarrow ? 2 : 4) * (count + 1);
}

export class JumpTable {
  readonly data: JumpTableData;

  constructor(data: JumpTableData) {
    this.data = data;
  }

  /** Byte offset in the file of stored block `index`; `count` gives the end of the last one. */
  offsetOf(index: number): number {
    const { groupShift, groups, deltas } = this.data;
    return (groups[index >>> groupShift] as number) + (deltas[index] as number);
  }
}

/** Takes the on-disk lengths piece by piece, so that no second table is ever in memory. */
export class JumpTableBuilder {
  readonly #blob: string;
  readonly #indexOffset: number;
  readonly #minLength: number;
  readonly #maxLength: number;
  readonly #data: JumpTableData;
  #next = 0;
  #offset: number;

  /**
   * @param count number of blocks; the caller has checked it against the file's size
   * @param indexOffset where the table is in the blob: blocks must end before it
   */
  constructor(options: {
    blob: string;
    count: number;
    blockSize: number;
    verify: boolean;
    dictSize: number;
    indexOffset: number;
  }) {
    this.#blob = options.blob;
    this.#indexOffset = options.indexOffset;
    const crcSize = options.verify ? BLOCK_CRC_SIZE : 0;
    this.#minLength = crcSize + 1;
    this.#maxLength = options.blockSize + MAX_STORED_OVERHEAD + crcSize;
    this.#offset = ZFILE_HEADER_SIZE + options.dictSize;

    const { count } = options;
    const { isNarrow, groupShift } = formOf(options.blockSize);
    this.#data = {
      groupShift,
      count,
      groups: new Float64Array(new SharedArrayBuffer(8 * ((count >>> groupShift) + 1))),
      deltas: isNarrow
        ? new Uint16Array(new SharedArrayBuffer(2 * (count + 1)))
        : new Uint32Array(new SharedArrayBuffer(4 * (count + 1))),
    };
    this.#data.groups[0] = this.#offset;
  }

  /** Where the next block begins, and after the last one, where the blocks end. */
  get offset(): number {
    return this.#offset;
  }

  /**
   * Takes the next `count` lengths, little-endian u32 as on disk.
   * @throws OverlaybdError BAD_FORMAT if one is out of bounds
   */
  push(lengths: Uint8Array, count: number): void {
    const end = this.#indexOffset;
    const [minLength, maxLength] = [this.#minLength, this.#maxLength];
    const [next, offset] = [this.#next, this.#offset];
    const added = { lengths, count, next, offset, minLength, maxLength, end };
    const taken = addLengths(this.#data, added);
    this.#next = next + taken;
    this.#offset = this.finish().offsetOf(this.#next);
    if (taken < count) throw this.#wrong(viewOf(lengths).getUint32(taken * 4, true));
  }

  /** The table so far: all of it, if the caller has pushed exactly `count` lengths. */
  finish(): JumpTable {
    return new JumpTable(this.#data);
  }

  /** @param length of the next block: it is not within the limits */
  #wrong(length: number): OverlaybdError {
    if (length < this.#minLength || length > this.#maxLength) {
      return this.#problem(`${this.#minLength} to ${this.#maxLength} bytes`, length);
    }
    const expected = `blocks that end before the jump table at ${this.#indexOffset}`;
    return this.#problem(expected, this.#offset + length);
  }

  #problem(expected: string, got: number): OverlaybdError {
    const entry = this.#next;
    return formatError({
      blob: this.#blob,
      section: `zfile jump table entry ${entry}`,
      offset: this.#indexOffset + entry * 4,
      expected,
      got,
    });
  }
}
