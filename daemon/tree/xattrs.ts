// The extended attributes of an entry as one immutable value. Many entries of a layer have the same set, such as a
// label of SELinux, and share it.

import { sha256Of } from '../lib/sha256.js';
import { compareBytes } from './names.js';

/** Heap for a set without its xattrs, and for each xattr without its name and value, also while EROFS is written. */
const SET_BYTES = 320;
const XATTR_BYTES = 320;
/** A longer value is not on the heap, and of a longer key there is the digest. */
const MAX_HEAP_VALUE = 64;
const MAX_KEY = 1024;

/** What xattrs take of the heap while a layer is read, where equal sets are found by their keys. */
export function heapBytesOf(xattrs: ReadonlyMap<string, Uint8Array>): number {
  let bytes = SET_BYTES;
  let key = 0;
  for (const [name, { length }] of xattrs) {
    bytes += xattrHeap(name, length);
    key += name.length + length;
  }
  return bytes + Math.min(key, MAX_KEY);
}

/** What so many sets take: see {@link XattrSet.heapBytes}. @param values the lengths of the values, as many as those of names */
export function heapBytesOfSets(sets: number, names: Uint32Array, values: Uint32Array): number {
  const ofNames = names.reduce((sum, length) => sum + XATTR_BYTES + length, 0);
  const ofValues = values.reduce((sum, length) => sum + (length > MAX_HEAP_VALUE ? 0 : length), 0);
  return SET_BYTES * sets + ofNames + ofValues;
}

function xattrHeap(name: string, length: number): number {
  return XATTR_BYTES + name.length + (length > MAX_HEAP_VALUE ? 0 : length);
}

/** Names with values, sorted by the bytes of the name. */
export class XattrSet {
  /** Full names, one character a byte. */
  readonly names: readonly string[];
  readonly values: readonly Uint8Array[];

  constructor(names: readonly string[], values: readonly Uint8Array[]) {
    this.names = names;
    this.values = values;
  }

  /** Bytes of the heap that it takes. */
  get heapBytes(): number {
    const { values } = this;
    return this.names.reduce(
      (sum, name, i) => sum + xattrHeap(name, (values[i] as Uint8Array).length),
      SET_BYTES,
    );
  }

  toMap(): Map<string, Uint8Array> {
    return new Map(this.names.map((name, i) => [name, this.values[i] as Uint8Array]));
  }
}

/** Sets by their content, so that equal ones are the same object. */
export class XattrSets {
  /** In order of their first use. */
  readonly all: XattrSet[] = [];
  readonly #numbers = new Map<string, number>();

  /** @returns the number of the set in `all`; `isNew` if it was not there before */
  intern(xattrs: ReadonlyMap<string, Uint8Array>): { number: number; isNew: boolean } {
    const names = [...xattrs.keys()].toSorted(compareBytes);
    const values = names.map((name) => xattrs.get(name) as Uint8Array);
    const key = keyOf(names, values);
    const known = this.#numbers.get(key);
    if (known !== undefined) return { number: known, isNew: false };
    const number = this.all.length;
    // The caller may reuse its memory.
    this.all.push(
      new XattrSet(
        names,
        values.map((value) => new Uint8Array(value)),
      ),
    );
    this.#numbers.set(key, number);
    return { number, isNew: true };
  }
}

function keyOf(names: readonly string[], values: readonly Uint8Array[]): string {
  let key = '';
  for (const [i, name] of names.entries()) {
    const value = values[i] as Uint8Array;
    const text = Buffer.from(value.buffer, value.byteOffset, value.length).toString('latin1');
    key += `${name.length}:${name}${text.length}:${text}`;
  }
  return key.length <= MAX_KEY ? key : sha256Of(Buffer.from(key, 'latin1'));
}
