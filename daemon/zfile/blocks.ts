// Where the blocks of a ZFile are, in the file and in its plain bytes. Reads nothing.

import type { Algorithm } from '../codec/algorithm.js';
import { BLOCK_CRC_SIZE } from './format.js';
import { JumpTable, type JumpTableData } from './jump-table.js';

/** What a reactor needs, besides the compressed source, to make the same reader again. */
export interface ZfileSpec {
  readonly name: string;
  readonly algorithm: Algorithm;
  readonly blockSize: number;
  readonly originalSize: number;
  readonly verify: boolean;
  readonly table: JumpTableData;
}

/** Offsets and sizes in bytes. */
export class Blocks {
  readonly count: number;
  readonly blockSize: number;
  /** Bytes of CRC at the end of each stored block; 0 if there is none. */
  readonly crcSize: number;
  readonly #table: JumpTable;
  readonly #blockShift: number;
  readonly #lastSize: number;

  constructor({ blockSize, originalSize, verify, table }: ZfileSpec) {
    this.count = table.count;
    this.blockSize = blockSize;
    this.crcSize = verify ? BLOCK_CRC_SIZE : 0;
    this.#table = new JumpTable(table);
    this.#blockShift = Math.log2(blockSize);
    this.#lastSize = originalSize - (table.count - 1) * blockSize;
  }

  /** The block that holds the plain byte at `offset`. */
  blockOf(offset: number): number {
    // Shifts are for 32 bits; beyond 4 GiB a division is as exact.
    return offset < 0x1_0000_0000
      ? offset >>> this.#blockShift
      : Math.floor(offset / this.blockSize);
  }

  /** Plain bytes of a block. */
  sizeOf(block: number): number {
    return block === this.count - 1 ? this.#lastSize : this.blockSize;
  }

  /** Where the plain bytes of a block begin. */
  beginOf(block: number): number {
    return block * this.blockSize;
  }

  /** Where the plain bytes of a block end. */
  endOf(block: number): number {
    return block * this.blockSize + this.sizeOf(block);
  }

  /** Where a stored block begins in the file; of `count`, where the last one ends. */
  storedAt(block: number): number {
    return this.#table.offsetOf(block);
  }
}
