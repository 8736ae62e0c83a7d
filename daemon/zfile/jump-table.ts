// The jump table: where each stored block of a ZFile begins. 2 to 4 bytes a block, in shared
// memory, built once and read by every reactor. Not the on-disk form, which is a list of lengths.

import { formatError, type OverlaybdError } from '../errors.js';
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
  push(lengths: DataView, count: number): void {
    // All in locals: opening an image runs through this once, before V8 has compiled it.
    const { groupShift, groups, deltas } = this.#data;
    const groupMask = (1 << groupShift) - 1;
    const minLength = this.#minLength;
    const maxLength = this.#maxLength;
    const indexOffset = this.#indexOffset;
    let next = this.#next;
    let offset = this.#offset;
    let groupOffset = groups[next >>> groupShift] as number;
    for (let i = 0; i < count; i++) {
      const length = lengths.getUint32(i * 4, true);
      if (length < minLength || length > maxLength) {
        throw this.#problem(next, `${minLength} to ${maxLength} bytes`, length);
      }
      offset += length;
      if (offset > indexOffset) {
        const expected = `blocks that end before the jump table at ${indexOffset}`;
        throw this.#problem(next, expected, offset);
      }
      next++;
      if ((next & groupMask) === 0) {
        groupOffset = offset;
        groups[next >>> groupShift] = offset;
      }
      deltas[next] = offset - groupOffset;
    }
    this.#next = next;
    this.#offset = offset;
  }

  /** The finished table. The caller has pushed exactly `count` lengths. */
  finish(): JumpTable {
    return new JumpTable(this.#data);
  }

  #problem(entry: number, expected: string, got: number): OverlaybdError {
    return formatError({
      blob: this.#blob,
      section: `zfile jump table entry ${entry}`,
      offset: this.#indexOffset + entry * 4,
      expected,
      got,
    });
  }
}
