// Reads flatbuffers, the encoding of ztocs: tables with optional fields, texts and vectors. Every offset, length and
// count comes from outside, so each is checked before it is used.

import { formatError, type OverlaybdError } from '../errors.js';
import { TWO_32, viewOf } from '../lib/bytes.js';
import { MAX_READS } from './limits.js';

/** A vtable begins with its own size and that of the table, 2 bytes each. */
const VTABLE_HEAD = 4;

/** The bytes, and how much of them may still be read. */
class FlatBytes {
  readonly bytes: Buffer;
  readonly view: DataView;
  readonly blob: string;
  readonly section: string;
  #left: number;

  constructor(bytes: Buffer, blob: string, section: string) {
    this.bytes = bytes;
    this.view = viewOf(bytes);
    this.blob = blob;
    this.section = section;
    this.#left = MAX_READS * bytes.length;
  }

  /** @throws OverlaybdError BAD_FORMAT if a range is not within the bytes */
  check(offset: number, length: number, what: string): void {
    if (offset >= 0 && length <= this.bytes.length - offset) return;
    const expected = `${what} within the ${this.bytes.length} bytes`;
    throw this.bad(offset, expected, `${length} bytes at ${offset}`);
  }

  /** @throws OverlaybdError LIMIT if the same bytes are read again and again */
  spend(bytes: number, offset: number): void {
    this.#left -= bytes;
    if (this.#left >= 0) return;
    const expected = `at most ${MAX_READS * this.bytes.length} bytes of all that offsets lead to`;
    throw this.bad(offset, expected, 'more', 'LIMIT');
  }

  bad(
    offset: number,
    expected: string,
    got: string | number | bigint,
    code: 'BAD_FORMAT' | 'LIMIT' = 'BAD_FORMAT',
  ): OverlaybdError {
    return formatError({ blob: this.blob, section: this.section, offset, expected, got, code });
  }
}

/**
 * The table that a flatbuffer holds.
 * @param blob for messages, and `section` likewise: "ztoc"
 * @throws OverlaybdError BAD_FORMAT
 */
export function rootTable(bytes: Buffer, blob: string, section: string): FlatTable {
  const all = new FlatBytes(bytes, blob, section);
  all.check(0, 4, 'the offset of a table');
  return new FlatTable(all, all.view.getUint32(0, true));
}

/** A table. An absent field has its default. Methods throw OverlaybdError BAD_FORMAT or LIMIT. */
export class FlatTable {
  /** Byte offset. */
  readonly position: number;
  readonly #all: FlatBytes;
  readonly #vtable: number;
  readonly #vtableSize: number;
  readonly #size: number;

  constructor(all: FlatBytes, position: number) {
    const { view } = all;
    all.check(position, 4, 'a table');
    const vtable = position - view.getInt32(position, true);
    all.check(vtable, VTABLE_HEAD, 'the vtable of a table');
    const vtableSize = view.getUint16(vtable, true);
    const size = view.getUint16(vtable + 2, true);
    if (vtableSize < VTABLE_HEAD || vtableSize % 2 !== 0 || size < 4) {
      throw all.bad(vtable, 'the sizes of a vtable and its table', `${vtableSize} and ${size}`);
    }
    all.check(vtable, vtableSize, 'a vtable');
    all.check(position, size, 'a table');
    this.position = position;
    this.#all = all;
    this.#vtable = vtable;
    this.#vtableSize = vtableSize;
    this.#size = size;
  }

  int8(field: number, absent = 0): number {
    const at = this.#find(field, 1);
    return at < 0 ? absent : this.#all.view.getInt8(at);
  }

  int32(field: number): number {
    const at = this.#find(field, 4);
    return at < 0 ? 0 : this.#all.view.getInt32(at, true);
  }

  uint32(field: number): number {
    const at = this.#find(field, 4);
    return at < 0 ? 0 : this.#all.view.getUint32(at, true);
  }

  /** A 64-bit integer that is not negative. @param what "size" */
  whole(field: number, what: string): number {
    const at = this.#find(field, 8);
    if (at < 0) return 0;
    const { view } = this.#all;
    const value = view.getInt32(at + 4, true) * TWO_32 + view.getUint32(at, true);
    if (value >= 0 && Number.isSafeInteger(value)) return value;
    const expected = `${what}: a whole number below 2^53`;
    throw this.#all.bad(at, expected, view.getBigInt64(at, true));
  }

  /** A text or a vector of bytes; null if it is absent. */
  bytes(field: number): Buffer | null {
    const at = this.#reference(field);
    return at < 0 ? null : this.#bytesAt(at);
  }

  /** A text as a byte string: one character a byte; '' if it is absent. */
  text(field: number): string {
    const at = this.#reference(field);
    return at < 0 ? '' : this.#bytesAt(at).toString('latin1');
  }

  /** A table; null if it is absent. */
  table(field: number): FlatTable | null {
    const at = this.#reference(field);
    return at < 0 ? null : new FlatTable(this.#all, at);
  }

  /** A vector of tables. */
  tables(field: number): FlatVector<FlatTable> {
    return this.#vector(field, (at) => new FlatTable(this.#all, at));
  }

  /** A vector of texts. */
  texts(field: number): FlatVector<string> {
    return this.#vector(field, (at) => this.#bytesAt(at).toString('latin1'));
  }

  /** The error of something in the table. */
  bad(expected: string, got: string | number, code: 'BAD_FORMAT' | 'LIMIT' = 'BAD_FORMAT'): Error {
    return this.#all.bad(this.position, expected, got, code);
  }

  /** @returns the byte offset of a field; -1 if it is absent */
  #find(field: number, width: number): number {
    const entry = VTABLE_HEAD + 2 * field;
    if (entry + 2 > this.#vtableSize) return -1;
    const offset = this.#all.view.getUint16(this.#vtable + entry, true);
    if (offset === 0) return -1;
    if (offset >= 4 && offset + width <= this.#size) return this.position + offset;
    const expected = `a field of ${width} bytes within the ${this.#size} of its table`;
    throw this.#all.bad(this.#vtable + entry, expected, `offset ${offset}`);
  }

  /** @returns where the offset in a field leads to; -1 if it is absent */
  #reference(field: number): number {
    const at = this.#find(field, 4);
    return at < 0 ? -1 : at + this.#all.view.getUint32(at, true);
  }

  #bytesAt(at: number): Buffer {
    const all = this.#all;
    all.check(at, 4, 'a text');
    const length = all.view.getUint32(at, true);
    all.check(at + 4, length, 'a text');
    all.spend(4 + length, at);
    return all.bytes.subarray(at + 4, at + 4 + length);
  }

  #vector<T>(field: number, read: (at: number) => T): FlatVector<T> {
    const at = this.#reference(field);
    if (at < 0) return { count: 0, at: () => null as never };
    const all = this.#all;
    all.check(at, 4, 'a vector');
    const count = all.view.getUint32(at, true);
    all.check(at + 4, 4 * count, 'a vector');
    all.spend(4 + 4 * count, at);
    return {
      count,
      at: (i) => {
        const item = at + 4 + 4 * i;
        return read(item + all.view.getUint32(item, true));
      },
    };
  }
}

export interface FlatVector<T> {
  readonly count: number;
  /** @param i less than `count` */
  at(i: number): T;
}
