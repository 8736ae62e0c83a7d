// CRC-32C in plain JavaScript, one table lookup a byte: a reference for the native one, not for the data path.

/** Castagnoli polynomial, bits reflected. */
const POLYNOMIAL = 0x82f63b78;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ POLYNOMIAL : value >>> 1;
  return value;
});

export type Crc = (data: Uint8Array, seed: number) => number;

/**
 * The raw register: loaded with `seed`, and returned as it is after the last byte, without the inversions before and
 * after that the name CRC-32C usually implies.
 */
export function rawCrc32c(data: Uint8Array, seed = 0): number {
  let crc = seed >>> 0;
  // Not for-of, which takes several times as long.
  for (let i = 0; i < data.length; i++) {
    crc = (TABLE[(crc ^ (data[i] as number)) & 0xff] as number) ^ (crc >>> 8);
  }
  return crc >>> 0;
}

/** The usual CRC-32C, for comparison with published check values. */
export function standardCrc32c(data: Uint8Array): number {
  return ~rawCrc32c(data, 0xffffffff) >>> 0;
}
