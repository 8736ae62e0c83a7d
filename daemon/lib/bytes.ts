// Small helpers for bytes: little-endian numbers and their printed forms. Knows no format.

const TWO_32 = 0x1_0000_0000;

/**
 * A little-endian u64 as a number. Above 2^53 it is rounded, which is harmless because every
 * caller checks it against a limit that is far below; {@link u64Exact} is for what is told of it.
 */
export function u64le(view: DataView, offset: number): number {
  return view.getUint32(offset + 4, true) * TWO_32 + view.getUint32(offset, true);
}

/** The same, exactly. */
export function u64Exact(view: DataView, offset: number): bigint {
  return view.getBigUint64(offset, true);
}

/** A DataView over exactly the bytes of a Uint8Array. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function hex32(value: number): string {
  return `0x${(value >>> 0).toString(16).padStart(8, '0')}`;
}

/** Whether the bytes at `offset` are exactly `expected`. */
export function bytesMatch(bytes: Uint8Array, offset: number, expected: Uint8Array): boolean {
  if (offset + expected.length > bytes.length) return false;
  for (let i = 0; i < expected.length; i++) {
    if (bytes[offset + i] !== expected[i]) return false;
  }
  return true;
}

export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}
