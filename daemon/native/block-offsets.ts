// Fills a table of where blocks begin. Conventions of all calls: addon.ts.

import { addon } from './addon.js';

/** A table in shared memory. */
export interface BlockOffsetTable {
  /** log2 of the blocks in a group. */
  readonly groupShift: number;
  /** Byte offset in the file of the first block of each group. */
  readonly groups: Float64Array;
  /** Bytes from there, for every block and for the end of the last one. */
  readonly deltas: Uint16Array | Uint32Array;
}

export interface AddedBlocks {
  /** Little-endian u32, as on disk. */
  readonly lengths: Uint8Array;
  /** How many of the lengths are added. */
  readonly count: number;
  /** Blocks that the table has. */
  readonly next: number;
  /** Where they end. */
  readonly offset: number;
  readonly minLength: number;
  readonly maxLength: number;
  /** Blocks end there at the latest. */
  readonly end: number;
}

interface Addon {
  readonly addLengths: (
    lengths: Uint8Array,
    count: number,
    groups: Uint8Array,
    deltas: Uint8Array,
    isWide: number,
    groupShift: number,
    next: number,
    offset: number,
    minLength: number,
    maxLength: number,
    end: number,
  ) => number;
}

const { addLengths: add } = addon['blockOffsets'] as Addon;

/**
 * Adds blocks to a table. Images are opened before V8 has compiled anything, and a layer has tens of thousands of blocks.
 * @returns how many it took: it stops at the first length that is not within the limits
 * @throws RangeError if the table has no room for all of them
 */
export function addLengths(table: BlockOffsetTable, added: AddedBlocks): number {
  const { groupShift, groups, deltas } = table;
  const { lengths, count, next, offset, minLength, maxLength, end } = added;
  const isWide = deltas.BYTES_PER_ELEMENT === 4 ? 1 : 0;
  return add(
    lengths,
    count,
    bytesOf(groups),
    bytesOf(deltas),
    isWide,
    groupShift,
    next,
    offset,
    minLength,
    maxLength,
    end,
  );
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
