// The blocks of reads that have been announced: two cores decode them. One for each thread, shared by all readers: the
// memory and the round of daemon/native/decode-ahead.ts are the thread's.

import { decodeAhead } from '../native/decode-ahead.js';
import type { FileRange, ReadsTogether } from '../lib/disk.js';
import type { Batch } from '../codec/batch.js';

/** Ranges of blocks of a round. */
const MAX_RANGES = 64;
const NO_OWNER = 0;

/** Who reads announced ranges. */
export interface AheadReader {
  /** Adds the blocks of a range with {@link BlocksAhead.add}, unless nothing is gained by it. */
  addAhead(offset: number, length: number): void;
}

/** @internal for its component test: a thread has {@link blocksAhead} */
export class BlocksAhead implements ReadsTogether {
  /** Where stored blocks are read to, at {@link storedAt}. */
  stored: Uint8Array = new Uint8Array(0);
  /** Where {@link take} finds their plain bytes. */
  plain: Uint8Array = new Uint8Array(0);
  storedAt = 0;
  round = 0;
  #plainAt = 0;
  #isOpen = false;
  /** There is no memory for it: it never announces anything. */
  #cannot = false;
  /** Whether a round has begun, and not all its reads have been announced. */
  #isAnnouncing = false;
  /** The read that was announced last, and its last block. It may have been dropped or added since. */
  #askedOwner = NO_OWNER;
  #askedLast = 0;
  /** The last announced read. It is held back until we know whether the next one starts in its last block. */
  #pending: AheadReader | null = null;
  #pendingOffset = 0;
  #pendingLength = 0;
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
    this.#isAnnouncing = false;
    // If no round begins, what was announced in the one before can still be taken.
    if (!this.#open() || !decodeAhead.begin()) return false;
    this.round++;
    this.#isAnnouncing = true;
    this.#askedOwner = NO_OWNER;
    this.#pending = null;
    this.#count = 0;
    this.#next = 0;
    this.storedAt = 0;
    this.#plainAt = 0;
    return true;
  }

  #open(): boolean {
    if (this.#isOpen || this.#cannot) return this.#isOpen;
    try {
      [this.stored, this.plain] = decodeAhead.open();
      this.#isOpen = true;
    } catch {
      this.#cannot = true;
    }
    return this.#isOpen;
  }

  end(): void {
    if (!this.#isAnnouncing) return;
    this.#addPending();
    this.#isAnnouncing = false;
    if (this.#count > 1) decodeAhead.wake();
  }

  /**
   * Announces a read of blocks [first, last] of an owner. If a read begins in the block in which the one before it
   * ends, neither is decoded ahead: the reader decodes that block once, and keeps it.
   */
  announce(
    reader: AheadReader,
    owner: number,
    first: number,
    last: number,
    offset: number,
    length: number,
  ): void {
    if (!this.#isAnnouncing) return;
    const isReadOn = this.#askedOwner === owner && this.#askedLast === first;
    this.#askedOwner = owner;
    this.#askedLast = last;
    if (isReadOn) {
      this.#pending = null;
      return;
    }
    this.#addPending();
    this.#pending = reader;
    this.#pendingOffset = offset;
    this.#pendingLength = length;
  }

  #addPending(): void {
    const reader = this.#pending;
    this.#pending = null;
    reader?.addAhead(this.#pendingOffset, this.#pendingLength);
  }

  /** Whether there is room for `stored` bytes of `count` blocks. */
  hasRoom(stored: number, count: number, blockSize: number): boolean {
    return (
      this.#count < MAX_RANGES &&
      stored <= this.stored.length - this.storedAt &&
      count * blockSize <= this.plain.length - this.#plainAt
    );
  }

  /**
   * Adds blocks [first, first + count), which are those of a batch.
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

/** The one of this thread. */
export const blocksAhead = new BlocksAhead();
