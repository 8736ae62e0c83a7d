// The bytes of a bootstrap. Every offset in it is hostile: all parts of it are taken through here.

import { formatError, OverlaybdError, type FormatProblem } from '../errors.js';
import { TWO_32 } from '../lib/bytes.js';

export class ImageBytes {
  /** For messages. */
  readonly name: string;
  readonly bytes: Buffer;
  /** Bytes that inodes have, each part once. */
  #taken = 0;

  constructor(name: string, bytes: Buffer) {
    this.name = name;
    this.bytes = bytes;
  }

  get size(): number {
    return this.bytes.length;
  }

  /** @throws OverlaybdError BAD_FORMAT if the range is not in the bootstrap */
  part(section: string, offset: number, length: number): Buffer {
    const isInside = offset >= 0 && length >= 0 && offset + length <= this.size;
    if (isInside) return this.bytes.subarray(offset, offset + length);
    throw this.bad(
      section,
      offset,
      `at most ${Math.max(0, this.size - offset)} bytes up to the end`,
      length,
    );
  }

  /**
   * A part that belongs to one inode only.
   * @throws OverlaybdError BAD_FORMAT, also if inodes have more than there is: their parts overlap, and there may be
   *   any number of them
   */
  own(section: string, offset: number, length: number): Buffer {
    const part = this.part(section, offset, length);
    this.#taken += length;
    if (this.#taken <= this.size) return part;
    const expected = `inodes that have at most the ${this.size} bytes of the bootstrap`;
    throw this.bad(section, offset, expected, this.#taken);
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
