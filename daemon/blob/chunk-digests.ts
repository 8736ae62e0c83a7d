// What the chunks of a blob were when the blob had its digest: so a chunk that is fetched once more is checked by itself.
//
// The first 16 bytes of the SHA-256 of each chunk of the cache. The cache evicts and fetches whole chunks, so nothing else must
// be at hand to check one. To find other bytes for a chunk takes 2^128 tries. 1 GiB has 256 KiB of digests.

import { createHash, type Hash } from 'node:crypto';
import { CHUNK_SIZE, chunkOf, chunksOf } from './chunk-map.js';

/** Bytes of one digest. */
export const CHUNK_DIGEST_SIZE = 16;

/** Bytes of all digests of a blob of `size` bytes. */
export function chunkDigestsSize(size: number): number {
  return chunksOf(size) * CHUNK_DIGEST_SIZE;
}

export class ChunkDigests {
  /** In memory that all threads can share. */
  readonly bytes: Uint8Array<SharedArrayBuffer>;

  /** @param bytes of {@link chunkDigestsSize} of the blob */
  constructor(bytes: Uint8Array<SharedArrayBuffer>) {
    this.bytes = bytes;
  }

  /** @returns hexadecimal */
  expected(chunk: number): string {
    return hexOf(this.#at(chunk));
  }

  /** @param bytes all of the chunk. @returns null if they are right; else their digest in hexadecimal */
  mismatch(chunk: number, bytes: Uint8Array): string | null {
    const got = shortened(createHash('sha256').update(bytes));
    return got.equals(this.#at(chunk)) ? null : hexOf(got);
  }

  equals(other: ChunkDigests): boolean {
    return Buffer.compare(this.bytes, other.bytes) === 0;
  }

  #at(chunk: number): Uint8Array {
    const begin = chunk * CHUNK_DIGEST_SIZE;
    return this.bytes.subarray(begin, begin + CHUNK_DIGEST_SIZE);
  }
}

/** Computes the digests of the chunks of a blob whose bytes come in their order. */
export class ChunkDigester {
  readonly #size: number;
  readonly #bytes: Uint8Array<SharedArrayBuffer>;
  #at = 0;
  #hash: Hash | null = null;

  /** @param size bytes of the blob */
  constructor(size: number) {
    this.#size = size;
    this.#bytes = new Uint8Array(new SharedArrayBuffer(chunkDigestsSize(size)));
  }

  update(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) {
      const chunk = chunkOf(this.#at);
      const end = Math.min((chunk + 1) * CHUNK_SIZE, this.#size);
      const n = Math.min(end - this.#at, bytes.length - done);
      if (n <= 0) throw new Error(`bytes past the end of a blob of ${this.#size} bytes`);
      this.#hash ??= createHash('sha256');
      this.#hash.update(bytes.subarray(done, done + n));
      done += n;
      this.#at += n;
      if (this.#at < end) continue;
      this.#bytes.set(shortened(this.#hash), chunk * CHUNK_DIGEST_SIZE);
      this.#hash = null;
    }
  }

  /** After all bytes. */
  get digests(): ChunkDigests {
    if (this.#at < this.#size) throw new Error(`${this.#at} bytes of ${this.#size}`);
    return new ChunkDigests(this.#bytes);
  }
}

function shortened(hash: Hash): Buffer {
  return hash.digest().subarray(0, CHUNK_DIGEST_SIZE);
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
