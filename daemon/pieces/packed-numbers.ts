// Columns of whole numbers in the least memory: in blocks, each with as many bytes a number as its largest one needs. A block
// of zeros has no bytes, so a number that another one almost always gives costs nothing if the difference is kept.

/** Numbers of a block. */
export const PACKED_BLOCK = 32;
/** Bytes of a number at most. */
const MAX_WIDTH = 7;

/** Whole numbers from 0 to 2^53, in shared memory. */
export interface PackedNumbers {
  /** Of each block, where its numbers begin in `bytes`. Empty if all numbers are 0. */
  readonly starts: Uint32Array;
  /** Of each block, the bytes of one number: little-endian. */
  readonly widths: Uint8Array;
  readonly bytes: Uint8Array;
}

/** @throws RangeError for a number that is too large, negative or not whole */
export function packNumbers(numbers: ArrayLike<number>): PackedNumbers {
  const count = Math.ceil(numbers.length / PACKED_BLOCK);
  const widths = new Uint8Array(new SharedArrayBuffer(count));
  const starts = new Uint32Array(new SharedArrayBuffer(4 * count));
  let size = 0;
  for (let block = 0; block < count; block++) {
    const first = block * PACKED_BLOCK;
    const end = Math.min(first + PACKED_BLOCK, numbers.length);
    let width = 0;
    for (let i = first; i < end; i++) width = Math.max(width, widthOf(numbers[i] as number));
    starts[block] = size;
    widths[block] = width;
    size += width * (end - first);
  }
  const bytes = new Uint8Array(new SharedArrayBuffer(size));
  if (size === 0) return { starts: new Uint32Array(), widths: new Uint8Array(), bytes };
  for (let i = 0, at = 0; i < numbers.length; i++) {
    let value = numbers[i] as number;
    const end = at + (widths[Math.floor(i / PACKED_BLOCK)] as number);
    for (; at < end; at++) {
      bytes[at] = value % 256;
      value = Math.floor(value / 256);
    }
  }
  return { starts, widths, bytes };
}

/** @param into gets the numbers of the block; has room for PACKED_BLOCK */
export function unpackBlock(
  { starts, widths, bytes }: PackedNumbers,
  block: number,
  count: number,
  into: Float64Array,
): void {
  const width = widths[block] ?? 0;
  if (width === 0) {
    into.fill(0, 0, count);
    return;
  }
  let at = starts[block] as number;
  for (let i = 0; i < count; i++) {
    let value = 0;
    for (let k = 0, unit = 1; k < width; k++, unit *= 256) value += (bytes[at++] as number) * unit;
    into[i] = value;
  }
}

/** Bytes of memory that a column takes. */
export function packedSize({ starts, widths, bytes }: PackedNumbers): number {
  return starts.byteLength + widths.byteLength + bytes.byteLength;
}

/** A whole number as one that is not negative: the closer to 0, the smaller. */
export function folded(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value;
}

export function unfolded(value: number): number {
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}

function widthOf(value: number): number {
  let width = 0;
  for (let most = 1; most <= value; most *= 256) width++;
  if (value >= 0 && width <= MAX_WIDTH) return width;
  throw new RangeError(`${value} is not from 0 to 2^53`);
}
