// Small helpers for bytes: 64-bit integers as numbers, and printed forms. Knows no format.

/** What the high half of a 64-bit integer counts in. */
export const TWO_32 = 0x1_0000_0000;

/**
 * A little-endian u64 as a number. A value above 2^53 is rounded. That is harmless, because every
 * caller checks the number against a far lower limit; messages print {@link u64Exact}.
 */
export function u64le(view: DataView, offset: number): number {
  return view.getUint32(offset + 4, true) * TWO_32 + view.getUint32(offset, true);
}

/** A little-endian u64 without rounding. */
export function u64Exact(view: DataView, offset: number): bigint {
  return view.getBigUint64(offset, true);
}

/** Writes a big-endian u64. @param value an integer of at most 2^53 */
export function writeU64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, Math.floor(value / TWO_32));
  view.setUint32(offset + 4, value % TWO_32);
}

/** A DataView over exactly the bytes of a Uint8Array. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function hex32(value: number): string {
  return `0x${(value >>> 0).toString(16).padStart(8, '0')}`;
}

/** Whether all bytes are 0; true if there are none. */
export function areZeros(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
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

/** One character a byte. */
export function latin1Of(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
