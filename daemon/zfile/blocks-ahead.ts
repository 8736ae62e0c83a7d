// The blocks of reads that have been announced: two cores decode them. One for each thread, shared by all readers.

import { decodeAhead } from '../native/decode-ahead.js';
import type { FileRange, ReadsTogether } from '../lib/disk.js';
import type { Batch } from '../codec/batch.js';

/** Ranges of blocks of a round. */
const MAX_RANGES = 64;

export class BlocksAhead implements ReadsTogether {
  /** Where stored blocks are read to, at {@link storedAt}. */
  stored: Uint8Array = new Uint8Array(0);
  /** Where {@link take} finds their plain bytes. */
  plain: Uint8Array = new Uint8Array(0);
  storedAt = 0;
  #plainAt = 0;
  #isOpen = false;
  #count = 0;
  /** Reads come in the order in which they were announced. */
  #next = 0;
  readonly #owners = new Uint32Array(MAX_RANGES);
  readonly #firsts = new Uint32Array(MAX_RANGES);
  readonly #counts = new Uint32Array(MAX_RANGES);
  /** How much of the last block is decoded. */
  readonly #wanted = new Uint32Array(MAX_RANGES);
  readonly #places = new Uint32Array(MAX_RANGES);
  readonly #numbers = new Uint32Array(MAX_RANGES);

  begin(): boolean {
    this.#count = 0;
    this.#next = 0;
    this.storedAt = 0;
    this.#plainAt = 0;
    if (!this.#isOpen) {
      [this.stored, this.plain] = decodeAhead.open();
      this.#isOpen = true;
    }
    return decodeAhead.begin();
  }

  end(): void {
    if (this.#count > 1) decodeAhead.wake();
  }

  /** Whether there is room for `stored` bytes of `count` blocks. */
  hasRoom(stored: number, count: number, blockSize: number): boolean {
    return (
      this.#count < MAX_RANGES &&
      stored <= this.stored.length - this.storedAt &&
      count * blockSize <= this.plain.length - this.#plainAt
    );
  }

  /** Whether the block is the last one of the range that was announced last. */
  endsWith(owner: number, block: number): boolean {
    const i = this.#count - 1;
    if (i < 0 || this.#owners[i] !== owner) return false;
    return block === (this.#firsts[i] as number) + (this.#counts[i] as number) - 1;
  }

  /**
   * Announces blocks [first, first + count), which are those of a batch.
   * @param lastWanted how much of the last block is decoded
   * @param file where they begin; its `fd` is -1 if they have been read to {@link storedAt}
   */
  add(
    codec: number,
    owner: number,
    first: number,
    count: number,
    batch: Batch,
    lastSize: number,
    lastWanted: number,
    file: FileRange,
  ): void {
    const { bounds, blockSize, crcSize, crcSeed } = batch;
    const number = decodeAhead.add(
      codec,
      this.storedAt,
      bounds,
      count,
      this.#plainAt,
      blockSize,
      lastSize,
      lastWanted,
      crcSize,
      crcSeed,
      file.fd,
      file.position,
    );
    if (number < 0) return;
    const i = this.#count++;
    this.#owners[i] = owner;
    this.#firsts[i] = first;
    this.#counts[i] = count;
    this.#wanted[i] = lastWanted;
    this.#places[i] = this.#plainAt;
    this.#numbers[i] = number;
    this.storedAt += bounds[count] as number;
    this.#plainAt += count * blockSize;
  }

  /**
   * @param lastWanted how much of the last block is needed
   * @returns where the plain bytes of exactly these blocks begin; -1 if they were not announced, or are not decoded
   */
  take(owner: number, first: number, count: number, lastWanted: number): number {
    for (let i = this.#next; i < this.#count; i++) {
      if (this.#firsts[i] !== first || this.#owners[i] !== owner) continue;
      if (this.#counts[i] !== count || (this.#wanted[i] as number) < lastWanted) continue;
      this.#next = i + 1;
      return decodeAhead.finish(this.#numbers[i] as number) ? (this.#places[i] as number) : -1;
    }
    return -1;
  }
}
