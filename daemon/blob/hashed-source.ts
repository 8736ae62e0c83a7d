// A source whose bytes are hashed as they are read, each once and in their order, whatever order they are read in.

import { createHash } from 'node:crypto';
import { DECODED_BYTES_A_UNIT, type Effort } from '../lib/effort.js';
import { ChunkDigester, type ChunkDigests } from './chunk-digests.js';
import { CHUNK_SIZE } from './chunk-map.js';
import { readFully, type BlobSource } from './source.js';

/** Bytes that are read at a time where a reader has skipped some. */
const GAP_READ = 1 << 20;

export class HashedSource implements BlobSource {
  readonly name: string;
  readonly size: number;
  /** False even around a local source, because `ensure` must be called. */
  readonly isLocal = false;
  readonly #source: BlobSource;
  readonly #effort: Effort;
  readonly #isDoubted: boolean;
  readonly #hash = createHash('sha256');
  readonly #chunks: ChunkDigester | null;
  /** Bytes that have been hashed. */
  #hashed = 0;
  /** Bytes that have been doubted. */
  #doubted = 0;

  /**
   * @param effort counts bytes that the reader has skipped: they may be all of a blob
   * @param isDoubted whether all bytes are fetched again: those that are there were wrong
   * @param hasChunks whether each chunk is hashed by itself, too: as much work as to hash the blob
   */
  constructor(source: BlobSource, effort: Effort, isDoubted = false, hasChunks = false) {
    this.name = source.name;
    this.size = source.size;
    this.#source = source;
    this.#effort = effort;
    this.#isDoubted = isDoubted;
    this.#chunks = hasChunks ? new ChunkDigester(source.size) : null;
  }

  ensure(offset: number, length: number): Promise<void> | null {
    if (offset <= this.#hashed) return this.#ensure(offset, length);
    return this.#hashUpTo(offset).then(() => this.#ensure(offset, length) ?? undefined);
  }

  read(offset: number, length: number, dst: Uint8Array, at: number): boolean {
    if (!this.#source.read(offset, length, dst, at)) return false;
    const end = offset + length;
    if (offset <= this.#hashed && end > this.#hashed) {
      const bytes = dst.subarray(at + this.#hashed - offset, at + length);
      this.#hash.update(bytes);
      this.#chunks?.update(bytes);
      this.#hashed = end;
    }
    return true;
  }

  load(offset: number, length: number): Promise<void> {
    return this.#source.load(offset, length);
  }

  prefetch(offset: number, length: number): Promise<void> {
    return this.#source.prefetch(offset, length);
  }

  /**
   * Reads what was not read, and ends.
   * @returns the digest of all bytes: "sha256:HEX"
   * @throws OverlaybdError what the source throws, and what the effort throws
   */
  async digest(): Promise<string> {
    await this.#hashUpTo(this.size);
    return `sha256:${this.#hash.digest('hex')}`;
  }

  /** After `digest`; null: they were not asked for. */
  get chunks(): ChunkDigests | null {
    return this.#chunks?.digests ?? null;
  }

  #ensure(offset: number, length: number): Promise<void> | null {
    const end = offset + length;
    if (this.#isDoubted && end > this.#doubted) {
      const to = Math.min(this.size, Math.ceil(end / CHUNK_SIZE) * CHUNK_SIZE);
      this.#source.distrust?.(this.#doubted, to - this.#doubted);
      this.#doubted = to;
    }
    return this.#source.ensure(offset, length);
  }

  async #hashUpTo(end: number): Promise<void> {
    while (this.#hashed < end) {
      const length = Math.min(GAP_READ, end - this.#hashed);
      this.#effort.spend(Math.ceil(length / DECODED_BYTES_A_UNIT));
      const turn = this.#effort.turn();
      if (turn) await turn;
      this.#effort.progress?.(this.#hashed, this.size);
      await readFully(this, this.#hashed, length);
    }
  }
}
