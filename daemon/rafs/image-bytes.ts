// The bytes of a bootstrap. Every offset in it is hostile: all parts of it are taken through here.

import { formatError, OverlaybdError, type FormatProblem } from '../errors.js';
import { TWO_32, viewOf } from '../lib/bytes.js';

export class ImageBytes {
  /** For messages. */
  readonly name: string;
  readonly bytes: Buffer;
  /** Of the same bytes. Inodes and records are read through it: an object for each would take longer than reading it. */
  readonly view: DataView;
  /** Bytes that inodes have, each part once. */
  #taken = 0;

  constructor(name: string, bytes: Buffer) {
    this.name = name;
    this.bytes = bytes;
    this.view = viewOf(bytes);
  }

  get size(): number {
    return this.bytes.length;
  }

  /** @throws OverlaybdError BAD_FORMAT if the range is not in the bootstrap */
  part(section: string, offset: number, length: number): Buffer {
    if (!this.has(offset, length)) throw this.#outside(section, offset, length);
    return this.bytes.subarray(offset, offset + length);
  }

  /** Whether the range is in the bootstrap. */
  has(offset: number, length: number): boolean {
    return offset >= 0 && length >= 0 && offset + length <= this.size;
  }

  /**
   * To be called before a part is read that belongs to one inode only.
   * @param what "chunk indexes of inode": what is named in errors with the number of the inode
   * @throws OverlaybdError BAD_FORMAT if it is not in the bootstrap, also if inodes have more than there is: their parts overlap,
   *   and there may be any number of them
   */
  take(what: string, nid: number, offset: number, length: number): void {
    if (!this.has(offset, length)) throw this.#outside(`${what} ${nid}`, offset, length);
    this.#taken += length;
    if (this.#taken <= this.size) return;
    const expected = `inodes that have at most the ${this.size} bytes of the bootstrap`;
    throw this.bad(`${what} ${nid}`, offset, expected, this.#taken);
  }

  /** The same, and the part. */
  own(what: string, nid: number, offset: number, length: number): Buffer {
    this.take(what, nid, offset, length);
    return this.bytes.subarray(offset, offset + length);
  }

  #outside(section: string, offset: number, length: number): OverlaybdError {
    const expected = `at most ${Math.max(0, this.size - offset)} bytes up to the end`;
    return this.bad(section, offset, expected, length);
  }

  bad(
    section: string,
    offset: number,
    expected: string,
    got: string | number,
    code: FormatProblem['code'] = 'BAD_FORMAT',
  ): OverlaybdError {
    return formatError({ blob: this.name, section, offset, expected, got, code });
  }

  /** A valid thing that is not served. @param what "chunks in batches" */
  unsupported(what: string): OverlaybdError {
    const message = `${this.name}: RAFS v6: ${what}: not supported`;
    return new OverlaybdError('UNSUPPORTED', message, { facts: { blob: this.name } });
  }
}

/** A little-endian u64; above 2^53 it is rounded, which is far above all limits. */
export function u64(bytes: Buffer, offset: number): number {
  return bytes.readUInt32LE(offset + 4) * TWO_32 + bytes.readUInt32LE(offset);
}

/** The same for a little-endian i64. */
export function i64(bytes: Buffer, offset: number): number {
  return bytes.readInt32LE(offset + 4) * TWO_32 + bytes.readUInt32LE(offset);
}
