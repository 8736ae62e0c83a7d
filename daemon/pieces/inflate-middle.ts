// Inflates a deflate stream from one of its blocks on, on a thread of Node's pool. Node takes the bytes that the block
// refers back to, but it begins at a whole byte, and a block may begin at any bit. So this puts empty blocks before it,
// which end at the bit within a byte where the block begins.

import { inflateMembers, MIN_CHUNK } from './gzip-member.js';

/** Where a block begins in its stream. */
export interface BlockStart {
  /** High bits of the first stored byte that belong to the block; 0: all of it. */
  readonly bits: number;
  /** The last bytes before the block, at most 32 KiB; none if it refers to none. */
  readonly window: Uint8Array;
}

/** An empty block with fixed codes: not the last one, type 1, the code of the end. Least significant bit first. */
const FIXED = '0100000000';
/**
 * An empty block with an odd number of bits: not the last one, type 2; 257 lengths of codes, 2 of distances, 18 of
 * lengths; of these only 1 and 18 are used (0 and 1). 138 and 118 zeros, then 1 for the end, and two distances; the end.
 */
const DYNAMIC = [
  '0',
  '01',
  '00000',
  '10000',
  '0111',
  lengthsOf(18, [2, 17]),
  '1111111111101011',
  '000',
  '0',
].join('');

/** In front of a block that begins after this many low bits of a byte. */
const EMPTY = [0, 1, 2, 3, 4, 5, 6, 7].map(emptyBlocks);

/**
 * Inflates as many bytes as are wanted, on into the gzip members that follow.
 * @param stored begins with the byte that has the first bit of the block
 * @returns at most `wanted` bytes: fewer if there are no more
 * @throws Error of zlib if that is not possible
 */
export function inflateMiddle(
  stored: Uint8Array,
  { bits, window }: BlockStart,
  wanted: number,
): Promise<Uint8Array> {
  const { constants, createInflateRaw } = process.getBuiltinModule('node:zlib');
  const inflate = createInflateRaw({
    chunkSize: Math.max(wanted, MIN_CHUNK),
    // What follows the wanted bytes is not here.
    finishFlush: constants.Z_SYNC_FLUSH,
    ...(window.length > 0 && { dictionary: window }),
  });
  return inflateMembers(inflate, bits === 0 ? stored : withEmptyBlocks(stored, bits), wanted);
}

function withEmptyBlocks(stored: Uint8Array, bits: number): Uint8Array {
  const low = 8 - bits;
  const empty = EMPTY[low] as Uint8Array;
  const all = new Uint8Array(empty.length - 1 + stored.length);
  all.set(empty);
  all.set(stored, empty.length - 1);
  const mask = (1 << low) - 1;
  const shared = empty.length - 1;
  all[shared] = ((empty[shared] as number) & mask) | ((stored[0] as number) & ~mask);
  return all;
}

/** Empty blocks whose number of bits has this rest by 8. */
function emptyBlocks(rest: number): Uint8Array {
  let text = rest % 2 === 0 ? '' : DYNAMIC;
  while (text.length % 8 !== rest) text += FIXED;
  const bytes = new Uint8Array(Math.ceil(text.length / 8));
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '1') bytes[i >>> 3] = (bytes[i >>> 3] as number) | (1 << (i & 7));
  }
  return bytes;
}

/** Lengths of 3 bits: 1 for those at `used`, 0 for the others. */
function lengthsOf(count: number, used: readonly number[]): string {
  return Array.from({ length: count }, (_, i) => (used.includes(i) ? '100' : '000')).join('');
}
