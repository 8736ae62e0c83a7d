// The xattrs of an inode of an EROFS image that another program has made: those after it, and shared ones.

import { formatError, type OverlaybdError } from '../../errors.js';
import { XATTR_ENTRY, XATTR_HEADER } from '../format.js';
import type { ErofsInode } from './inode.js';
import type { Superblock } from './superblock.js';

/** What the numbers of names stand for. */
export const SHORT_PREFIXES: readonly string[] = [
  '',
  'user.',
  'system.posix_acl_access',
  'system.posix_acl_default',
  'trusted.',
  // The device cannot have these: they are dropped and counted when it is written. No kernel shows them.
  'lustre.',
  'security.',
];
/** Kernels have no handlers for names that begin so. */
const NOT_SHOWN: ReadonlySet<string | undefined> = new Set(['', 'lustre.', undefined]);
/** Bytes of an entry with the longest name and value. */
export const MAX_XATTR_ENTRY_BYTES = XATTR_ENTRY + 0xff + 0xffff;
/** Its entries without a name are room that a tool kept free: no kernel shows them. */
const NO_PREFIX = 0;
/** The number of `trusted.`. */
export const TRUSTED = 4;
/** The prefix is one of a list in the image. */
const LONG_PREFIX = 0x80;

/**
 * Gets an xattr, by byte offsets in the image. The name ends where the value begins.
 * @param prefix the number of what the name begins with
 * @returns whether the next one is wanted
 */
export type VisitXattr = (
  prefix: number,
  nameAt: number,
  valueAt: number,
  valueEnd: number,
) => boolean;

/** An image, as far as xattrs need it. */
interface Image {
  readonly blob: string;
  readonly bytes: Buffer;
  readonly superblock: Superblock;
  /** One character a byte. */
  readonly longPrefixes: readonly string[];
}

/**
 * @param count gets the bytes of the area before they are read, and those of each shared xattr
 * @param asShown leaves out what kernels do not show: names with an unknown beginning, and the second of two with a name.
 *   turboOCI's tool leaves room after the xattrs of the root, whose zeros are such names
 * @returns full names, one character a byte, with their values in the memory of the image
 * @throws OverlaybdError BAD_FORMAT, UNSUPPORTED, and what `count` throws
 */
export function readXattrs(
  image: Image,
  inode: ErofsInode,
  count: (bytes: number) => void,
  asShown = false,
): Map<string, Uint8Array> {
  const xattrs = new Map<string, Uint8Array>();
  if (inode.end === inode.xattrsAt) return xattrs;
  const { bytes } = image;
  visitXattrs(image, inode, count, (index, nameAt, valueAt, valueEnd) => {
    if (index === NO_PREFIX && nameAt === valueAt) return true;
    const prefix = prefixOf(image, index);
    if (asShown && NOT_SHOWN.has(prefix)) return true;
    if (prefix === undefined)
      throw bad(image, inode, nameAt - XATTR_ENTRY, 'a known prefix', index);
    const name = prefix + bytes.toString('latin1', nameAt, valueAt);
    if (xattrs.has(name)) {
      if (asShown) return true;
      throw bad(image, inode, nameAt - XATTR_ENTRY, 'each xattr once', 'one twice');
    }
    xattrs.set(name, bytes.subarray(valueAt, valueEnd));
    return true;
  });
  return xattrs;
}

/** Where the shared xattrs of an inode begin, those that are in the image at all. Byte offsets in the image. */
export function sharedXattrs(
  { bytes, superblock }: Image,
  { xattrsAt, end }: ErofsInode,
): number[] {
  if (end === xattrsAt) return [];
  const first = xattrsAt + XATTR_HEADER;
  const count = Math.min(bytes[xattrsAt + 4] as number, Math.floor((end - first) / 4));
  const begins = Array.from(
    { length: count },
    (_, i) => superblock.xattrStart + 4 * bytes.readUInt32LE(first + 4 * i),
  );
  return begins.filter((begin) => begin < bytes.length);
}

/**
 * Visits the xattrs of an inode, the shared ones first.
 * @param count as of {@link readXattrs}
 * @throws OverlaybdError as that does, except for what is wrong with their names
 */
export function visitXattrs(
  image: Image,
  inode: ErofsInode,
  count: (bytes: number) => void,
  visit: VisitXattr,
): void {
  const { bytes, superblock } = image;
  const { xattrsAt, end } = inode;
  if (end === xattrsAt) return;
  count(end - xattrsAt);
  const sharedCount = bytes[xattrsAt + 4] as number;
  let at = xattrsAt + XATTR_HEADER;
  if (at + 4 * sharedCount > end) {
    const expected = `numbers of shared xattrs before byte ${end}`;
    throw bad(image, inode, xattrsAt + 4, expected, sharedCount);
  }
  for (let i = 0; i < sharedCount; i++, at += 4) {
    const begin = superblock.xattrStart + 4 * bytes.readUInt32LE(at);
    const valueAt = valueOf(image, inode, begin, bytes.length);
    const valueEnd = valueAt + bytes.readUInt16LE(begin + 2);
    count(roundUp4(valueEnd) - begin);
    if (!visit(bytes[begin + 1] as number, begin + XATTR_ENTRY, valueAt, valueEnd)) return;
  }
  while (at < end) {
    const valueAt = valueOf(image, inode, at, end);
    const valueEnd = valueAt + bytes.readUInt16LE(at + 2);
    if (!visit(bytes[at + 1] as number, at + XATTR_ENTRY, valueAt, valueEnd)) return;
    at = roundUp4(valueEnd);
  }
}

/** Where the value of an xattr begins, all of which is before `limit`. */
function valueOf(image: Image, inode: ErofsInode, begin: number, limit: number): number {
  if (begin + XATTR_ENTRY > limit) {
    throw bad(image, inode, begin, `an xattr before byte ${limit}`, 'its end');
  }
  const { bytes } = image;
  const valueAt = begin + XATTR_ENTRY + (bytes[begin] as number);
  const valueEnd = valueAt + bytes.readUInt16LE(begin + 2);
  if (valueEnd > limit) throw bad(image, inode, begin, `an xattr before byte ${limit}`, valueEnd);
  return valueAt;
}

function prefixOf({ longPrefixes }: Image, index: number): string | undefined {
  return (index & LONG_PREFIX) === 0 ? SHORT_PREFIXES[index] : longPrefixes[index & ~LONG_PREFIX];
}

function bad(
  { blob }: Image,
  inode: ErofsInode,
  offset: number,
  expected: string,
  got: string | number,
): OverlaybdError {
  return formatError({ blob, section: sectionOf(inode), offset, expected, got });
}

function sectionOf({ nid }: ErofsInode): string {
  return `xattrs of inode ${nid}`;
}

function roundUp4(value: number): number {
  return Math.ceil(value / 4) * 4;
}
