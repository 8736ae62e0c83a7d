// The compression algorithms a ZFile can name, and their on-disk numbers; not the codecs themselves.

export type Algorithm = 'lz4' | 'zstd';

/** Values of the ZFile option byte `algo` (offset 76). Number 0, mini-LZO, was declared and never supported. */
const NUMBERS: Readonly<Record<Algorithm, number>> = { lz4: 1, zstd: 2 };

export function algorithmNumber(algorithm: Algorithm): number {
  return NUMBERS[algorithm];
}

/** The algorithm with this on-disk number, or undefined: how to refuse is for the caller, who knows the file. */
export function algorithmFromNumber(number: number): Algorithm | undefined {
  if (number === NUMBERS.lz4) return 'lz4';
  if (number === NUMBERS.zstd) return 'zstd';
  return undefined;
}
