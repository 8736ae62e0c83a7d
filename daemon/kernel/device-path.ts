// The names of an NBD device: its number, nbd0, /dev/nbd0.

/** The largest number: there are 2^20 minor numbers, and each device has 16 for its partitions. */
export const MAX_DEVICE_INDEX = 65535;

/** "/dev/nbd3". */
export function devicePath(index: number): string {
  return `/dev/nbd${index}`;
}

/** @param name "nbd3" or "/dev/nbd3". @returns null for any other name */
export function deviceIndexOf(name: string): number | null {
  const digits = /^(?:\/dev\/)?nbd(\d{1,5})$/.exec(name)?.[1];
  return digits === undefined ? null : Number(digits);
}
