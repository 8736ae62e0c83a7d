// Typed arrays that grow, for lists whose length is not known before their end.

/** A column. */
export type Numbers = Uint8Array | Uint16Array | Uint32Array | Int32Array | Float64Array;

/** The array itself if it has place `i`, otherwise a copy with room for twice as many. */
export function grown<T extends Numbers>(array: T, i: number): T {
  if (i < array.length) return array;
  const Type = array.constructor as new (length: number) => T;
  const longer = new Type(Math.max(64, 2 * i));
  longer.set(array);
  return longer;
}

/** The first `count` of a column, in memory that all threads share. */
export function sharedCopy<T extends Numbers>(column: T, count: number): T {
  const Type = column.constructor as new (memory: SharedArrayBuffer) => T;
  const copy = new Type(new SharedArrayBuffer(count * column.BYTES_PER_ELEMENT));
  copy.set(column.subarray(0, count));
  return copy;
}

/** A column that has as few bytes a number as the largest one needs. */
export type NarrowColumn = Uint8Array | Uint16Array | Uint32Array | Float64Array;

/**
 * The first `count` of whole numbers that are not negative, in memory that all threads share.
 * @param numbers up to 2^53 - 1
 */
export function narrowed(numbers: Uint32Array | Float64Array, count: number): NarrowColumn {
  const used = numbers.subarray(0, count);
  let most = 0;
  for (const number of used) most = Math.max(most, number);
  const column = ofWidth(most, count);
  column.set(used);
  return column;
}

/** In memory that all threads share: zeros. */
function ofWidth(most: number, count: number): NarrowColumn {
  if (most < 2 ** 8) return new Uint8Array(new SharedArrayBuffer(count));
  if (most < 2 ** 16) return new Uint16Array(new SharedArrayBuffer(2 * count));
  if (most < 2 ** 32) return new Uint32Array(new SharedArrayBuffer(4 * count));
  return new Float64Array(new SharedArrayBuffer(8 * count));
}
