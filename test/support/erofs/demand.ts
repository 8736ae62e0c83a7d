// What every part of the reader needs: the bytes, and a way to object.

/** Gives exactly these bytes of the device. */
export type ReadDevice = (offset: number, length: number) => Buffer;

export function demand(holds: boolean, text: string): asserts holds {
  if (!holds) throw new Error(`erofs: ${text}`);
}
