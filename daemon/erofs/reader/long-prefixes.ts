// The long prefixes of an EROFS image: beginnings of names of xattrs that many names have, each stored once.

import { formatError } from '../../errors.js';
import { flatExtents } from './contents.js';
import { inodePlace, readInode } from './inode.js';
import type { Superblock } from './superblock.js';
import { SHORT_PREFIXES } from './xattrs.js';

/** In the compatible features: the list is in the image, and not in the packed inode. */
const PLAIN_PREFIXES = 0x10;
/** Bytes of the length of a prefix. */
const LENGTH_SIZE = 2;
const MAX_INFIX = 255;
/** Bytes of a list, at most: 255 prefixes, each with its length and the number of its beginning. */
const MAX_PREFIX_LIST_BYTES = 255 * (LENGTH_SIZE + 1 + MAX_INFIX + 3);

/**
 * Reads the list.
 * @param image all bytes of the image that it is in
 * @returns in their order, one character a byte; none if the image has no list
 * @throws OverlaybdError BAD_FORMAT; UNSUPPORTED if it is compressed
 */
export function readLongPrefixes(image: Buffer, sb: Superblock, blob: string): string[] {
  const { xattrPrefixes: count } = sb;
  if (count === 0) return [];
  const { bytes, begin } = listOf(image, sb, blob);
  const section = 'long prefixes of xattrs';
  const prefixes: string[] = [];
  let at = 0;
  while (prefixes.length < count) {
    const length = at + LENGTH_SIZE > bytes.length ? 0 : bytes.readUInt16LE(at);
    const end = at + LENGTH_SIZE + length;
    if (length < 1 || length > 1 + MAX_INFIX || end > bytes.length) {
      const expected = `prefix ${prefixes.length + 1} of ${count}, 1 to ${1 + MAX_INFIX} bytes`;
      throw formatError({ blob, section, offset: begin + at, expected, got: length });
    }
    const number = bytes[at + LENGTH_SIZE] as number;
    const short = SHORT_PREFIXES[number];
    if (short === undefined) {
      const expected = 'the number of a known prefix';
      throw formatError({ blob, section, offset: begin + at + 2, expected, got: number });
    }
    prefixes.push(short + bytes.toString('latin1', at + LENGTH_SIZE + 1, end));
    at = Math.ceil(end / 4) * 4;
  }
  return prefixes;
}

/** Whether the list is in the packed inode, as fragments of files are. */
export function arePrefixesPacked({ compat, packedNid, xattrPrefixes }: Superblock): boolean {
  return xattrPrefixes > 0 && packedNid !== 0 && (compat & PLAIN_PREFIXES) === 0;
}

/** Bytes from the list on, and where in the image they are for messages. */
function listOf(image: Buffer, sb: Superblock, blob: string): { bytes: Buffer; begin: number } {
  const ranges = prefixRanges(image, sb, blob);
  const bytes = Buffer.concat(ranges.map(([begin, end]) => image.subarray(begin, end)));
  return { bytes, begin: ranges[0]?.[0] ?? inodePlace(sb, sb.packedNid) };
}

/**
 * Where in the image the list is, and at most as many bytes after it as the longest list has.
 * @param image all bytes of the image; if the list is in the packed inode, that one is read
 * @throws OverlaybdError BAD_FORMAT; UNSUPPORTED if it is compressed
 */
export function prefixRanges(
  image: Buffer,
  sb: Superblock,
  blob: string,
): (readonly [begin: number, end: number])[] {
  const { xattrPrefixesAt: from } = sb;
  const to = from + MAX_PREFIX_LIST_BYTES;
  if (!arePrefixesPacked(sb)) return [[from, to]];
  const inode = readInode(image, sb, sb.packedNid, blob);
  return flatExtents(inode, sb, image.length, blob)
    .map(({ fileOffset, length, offset }): [number, number] => [
      offset + Math.max(0, from - fileOffset),
      offset + Math.min(length, to - fileOffset),
    ])
    .filter(([begin, end]) => begin < end);
}
