// The xattrs of an inode of an EROFS image that another program has made: those behind it, and shared ones.

import { OverlaybdError, formatError } from '../../errors.js';
import { XATTR_ENTRY, XATTR_HEADER } from '../format.js';
import type { ErofsInode } from './inode.js';
import type { Superblock } from './superblock.js';

/** What the numbers of names stand for. */
const PREFIXES: readonly (string | undefined)[] = [
  '',
  'user.',
  'system.posix_acl_access',
  'system.posix_acl_default',
  'trusted.',
  undefined,
  'security.',
];
/** The prefix is one of a list in the image. */
const LONG_PREFIX = 0x80;

/**
 * @param count gets the bytes of the area before they are read, and those of each shared xattr
 * @returns full names, one character a byte, with their values in the memory of the image
 * @throws OverlaybdError BAD_FORMAT, UNSUPPORTED, and what `count` throws
 */
export function readXattrs(
  image: Buffer,
  { xattrStart }: Superblock,
  { nid, xattrsAt, end }: ErofsInode,
  blob: string,
  count: (bytes: number) => void,
): Map<string, Uint8Array> {
  const xattrs = new Map<string, Uint8Array>();
  if (end === xattrsAt) return xattrs;
  count(end - xattrsAt);
  const section = `xattrs of inode ${nid}`;
  const sharedCount = image[xattrsAt + 4] as number;
  let at = xattrsAt + XATTR_HEADER;
  if (at + 4 * sharedCount > end) {
    const expected = `numbers of shared xattrs before byte ${end}`;
    throw formatError({ blob, section, offset: xattrsAt + 4, expected, got: sharedCount });
  }
  for (let i = 0; i < sharedCount; i++, at += 4) {
    const begin = xattrStart + 4 * image.readUInt32LE(at);
    count(readEntry(image, begin, image.length, xattrs) - begin);
  }
  while (at < end) at = readEntry(image, at, end, xattrs);
  return xattrs;

  /** @returns where the next one begins */
  function readEntry(from: Buffer, begin: number, limit: number, to: typeof xattrs): number {
    const bad = (expected: string, got: string | number): Error =>
      formatError({ blob, section, offset: begin, expected, got });
    if (begin + XATTR_ENTRY > limit) throw bad(`an xattr before byte ${limit}`, 'its end');
    const nameLength = from[begin] as number;
    const index = from[begin + 1] as number;
    const nameAt = begin + XATTR_ENTRY;
    const valueAt = nameAt + nameLength;
    const valueEnd = valueAt + from.readUInt16LE(begin + 2);
    if (valueEnd > limit) throw bad(`an xattr before byte ${limit}`, valueEnd);
    if ((index & LONG_PREFIX) !== 0) {
      const text = `${blob}: ${section} at byte ${begin}: long prefixes of names are not supported`;
      throw new OverlaybdError('UNSUPPORTED', text, { facts: { blob, section, offset: begin } });
    }
    const prefix = PREFIXES[index];
    if (prefix === undefined) throw bad('a known prefix', index);
    const name = prefix + from.toString('latin1', nameAt, valueAt);
    if (to.has(name)) throw bad('each xattr once', 'one twice');
    to.set(name, from.subarray(valueAt, valueEnd));
    return Math.ceil(valueEnd / 4) * 4;
  }
}
