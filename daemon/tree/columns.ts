// Typed arrays that grow, for lists whose length is not known before their end.

type Numbers = Uint8Array | Uint16Array | Uint32Array | Int32Array | Float64Array;

/** The array itself if it has place `i`, otherwise a copy with room for twice as many. */
export function grown<T extends Numbers>(array: T, i: number): T {
  if (i < array.length) return array;
  const Type = array.constructor as new (length: number) => T;
  const longer = new Type(Math.max(64, 2 * i));
  longer.set(array);
  return longer;
}
