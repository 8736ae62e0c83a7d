// Byte strings, one character a byte, in memory outside of the heap: a layer may have two million paths, and as objects they
// would take all of the heap that a thread may have.

import { uncountedColumns, type CountedColumns } from '../lib/counted-columns.js';

const SLASH = 0x2f;

export class TextColumn {
  #bytes = bufferOf(new Uint8Array(64));
  #ends = new Uint32Array(64);
  #count = 0;
  readonly #columns: CountedColumns;

  /** @param columns announces its memory */
  constructor(columns = uncountedColumns()) {
    this.#columns = columns;
  }

  /** Texts. */
  get length(): number {
    return this.#count;
  }

  add(text: string): void {
    const begin = this.#endOf(this.#count - 1);
    const end = begin + text.length;
    if (end > this.#bytes.length) {
      this.#bytes = bufferOf(this.#columns.grown(plainOf(this.#bytes), end));
    }
    this.#ends = this.#columns.grown(this.#ends, this.#count);
    this.#bytes.write(text, begin, 'latin1');
    this.#ends[this.#count++] = end;
  }

  /** Nothing is added any more. */
  finish(): void {
    const end = this.#endOf(this.#count - 1);
    this.#bytes = bufferOf(this.#columns.trimmed(plainOf(this.#bytes), end));
    this.#ends = this.#columns.trimmed(this.#ends, this.#count);
  }

  /** Bytes of memory. */
  get memory(): number {
    return this.#bytes.length + this.#ends.byteLength;
  }

  at(i: number): string {
    return this.#bytes.toString('latin1', this.#endOf(i - 1), this.#endOf(i));
  }

  isEmpty(i: number): boolean {
    return this.#endOf(i) === this.#endOf(i - 1);
  }

  /** What follows the last slash of a text; all of it if it has none. It keeps no other bytes in memory. */
  nameAt(i: number): string {
    const begin = this.#endOf(i - 1);
    const end = this.#endOf(i);
    let from = end;
    while (from > begin && this.#bytes[from - 1] !== SLASH) from--;
    return this.#bytes.toString('latin1', from, end);
  }

  /** What precedes the last slash of a text; '' if it has none. */
  folderAt(i: number): string {
    const begin = this.#endOf(i - 1);
    return this.#bytes.toString('latin1', begin, begin + this.#folderLength(i));
  }

  /** Whether what precedes the last slash of two texts is the same. Makes no object. */
  sharesFolder(i: number, j: number): boolean {
    const length = this.#folderLength(i);
    if (length !== this.#folderLength(j)) return false;
    const a = this.#endOf(i - 1);
    const b = this.#endOf(j - 1);
    // Folders that differ usually do so at their ends.
    for (let at = length - 1; at >= 0; at--) {
      if (this.#bytes[a + at] !== this.#bytes[b + at]) return false;
    }
    return true;
  }

  /** How long each of the first `count` is, and the bytes of all of them. */
  parts(count: number): { readonly lengths: Uint32Array; readonly bytes: Uint8Array } {
    const lengths = new Uint32Array(count);
    for (let i = 0; i < count; i++) lengths[i] = this.#endOf(i) - this.#endOf(i - 1);
    return { lengths, bytes: this.#bytes.subarray(0, this.#endOf(count - 1)) };
  }

  /** @param bytes of all texts, which are taken over. @param lengths that are as many bytes together */
  static of(lengths: Uint32Array, bytes: Uint8Array): TextColumn {
    const column = new TextColumn();
    const ends = new Uint32Array(lengths.length);
    let end = 0;
    for (let i = 0; i < lengths.length; i++) ends[i] = end += lengths[i] as number;
    column.#bytes = bufferOf(bytes);
    column.#ends = ends;
    column.#count = lengths.length;
    return column;
  }

  #folderLength(i: number): number {
    const begin = this.#endOf(i - 1);
    let end = this.#endOf(i) - 1;
    while (end > begin && this.#bytes[end] !== SLASH) end--;
    return Math.max(0, end - begin);
  }

  #endOf(i: number): number {
    return i < 0 ? 0 : (this.#ends[i] as number);
  }
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function plainOf({ buffer, byteOffset, byteLength }: Buffer): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
