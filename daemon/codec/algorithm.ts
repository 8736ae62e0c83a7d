// The compression algorithms that a ZFile can name, and their numbers on disk; not the codecs themselves.

export type Algorithm = 'lz4' | 'zstd';

/**
 * The algorithm with this value of the option byte `algo` (offset 76 of a ZFile header). Number 0, mini-LZO,
 * was declared and never supported.
 * @returns undefined for other numbers; the caller, which knows the file, refuses them
 */
export function algorithmFromNumber(number: number): Algorithm | undefined {
  if (number === 1) return 'lz4';
  if (number === 2) return 'zstd';
  return undefined;
}
