// Reads a blob forwards, in long steps. No byte is read twice: the second time it may be another one, and it was hashed the
// first time.

import { readInto, type BlobSource } from '../blob/source.js';

/** Bytes that are read at first: a frame of common tools, or many small ones. */
const READ_SIZE = 1 << 20;

export class ForwardReader {
  readonly #source: BlobSource;
  /** What was read last, and where it begins in the blob. */
  #read: Buffer = Buffer.alloc(0);
  #readAt = 0;

  constructor(source: BlobSource) {
    this.#source = source;
  }

  /**
   * @param offset not below that of the call before
   * @param length up to the end of the blob; what was read is kept from `offset` on
   * @throws OverlaybdError what the source throws
   */
  async bytesAt(offset: number, length: number): Promise<Buffer> {
    const begin = offset - this.#readAt;
    if (begin + length <= this.#read.length) return this.#read.subarray(begin, begin + length);
    const known = this.#read.subarray(begin);
    const size = Math.min(Math.max(length, READ_SIZE), this.#source.size - offset);
    const bytes = Buffer.allocUnsafeSlow(size);
    known.copy(bytes);
    await readInto(this.#source, offset + known.length, bytes.subarray(known.length));
    this.#read = bytes;
    this.#readAt = offset;
    return bytes.subarray(0, length);
  }

  /** What is in memory from `offset` on: maybe nothing. No byte is copied. @param offset as of bytesAt() */
  inMemory(offset: number): Buffer {
    return this.#read.subarray(offset - this.#readAt);
  }

  /** What is in memory from `offset` on, and at least one byte, unless the blob ends there. */
  async restAt(offset: number): Promise<Buffer> {
    const rest = this.inMemory(offset);
    if (rest.length > 0 || offset === this.#source.size) return rest;
    await this.bytesAt(offset, 1);
    return this.#read;
  }
}
