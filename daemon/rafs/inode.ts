// Inodes of a bootstrap, as they are in EROFS: attributes, extended attributes, and where their bytes are.

import type { OverlaybdError } from '../errors.js';
import { TWO_32, u64le } from '../lib/bytes.js';
import { MAX_XATTR_BYTES } from '../tree/limits.js';
import type { ImageBytes } from './image-bytes.js';
import { BLOCK, type RafsSuperblock } from './superblock.js';

/** Inodes begin at multiples of it. */
export const SLOT = 32;
const COMPACT = 32;
const EXTENDED = 64;
const FLAT_PLAIN = 0;
const FLAT_INLINE = 2;
const CHUNK_BASED = 4;
/** Bit 0: extended; bits 1 to 3: the layout of the data. */
const KNOWN_FORMAT = 0xf;
const XATTR_HEADER = 12;
/** By the number in an entry; the value of `null` has no name after it. */
const PREFIXES = new Map([
  [1, 'user.'],
  [2, 'system.posix_acl_access'],
  [3, 'system.posix_acl_default'],
  [4, 'trusted.'],
  // The device cannot have these: they are dropped and counted when it is written. No kernel shows them.
  [5, 'lustre.'],
  [6, 'security.'],
]);

export interface RafsInode {
  readonly nid: number;
  /** Byte offset in the bootstrap, for messages. */
  readonly at: number;
  /** Type and permissions. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: number;
  readonly mtimeNs: number;
  readonly size: number;
  /** Names that it has, as it says. */
  readonly names: number;
  /** The field whose meaning depends on the type. */
  readonly u: number;
  readonly xattrs: ReadonlyMap<string, Uint8Array> | null;
  readonly layout: number;
  /** Byte offset of what follows inode and extended attributes. */
  readonly end: number;
}

/** What the bytes of a directory, or of the target of a symlink, are read by. */
export type FlatInode = Pick<RafsInode, 'nid' | 'at' | 'size' | 'layout' | 'u' | 'end'>;

/** @throws OverlaybdError BAD_FORMAT, LIMIT */
export function readInode(
  image: ImageBytes,
  { inodesAt, epoch, epochNs }: RafsSuperblock,
  nid: number,
): RafsInode {
  const at = inodesAt + nid * SLOT;
  image.take('inode', nid, at, COMPACT);
  const { view } = image;
  const format = view.getUint16(at, true);
  if ((format & ~KNOWN_FORMAT) !== 0) {
    throw image.bad(`inode ${nid}`, at, 'a format below 16', format);
  }
  const isExtended = (format & 1) === 1;
  if (isExtended && !image.has(at, EXTENDED)) image.part(`inode ${nid}`, at, EXTENDED);
  const xattrsAt = at + (isExtended ? EXTENDED : COMPACT);
  const count = view.getUint16(at + 2, true);
  const xattrSize = count === 0 ? 0 : XATTR_HEADER + 4 * (count - 1);
  return {
    nid,
    at,
    mode: view.getUint16(at + 4, true),
    uid: isExtended ? view.getUint32(at + 24, true) : view.getUint16(at + 24, true),
    gid: isExtended ? view.getUint32(at + 28, true) : view.getUint16(at + 26, true),
    mtime: isExtended ? i64le(view, at + 32) : epoch,
    mtimeNs: isExtended ? view.getUint32(at + 40, true) : epochNs,
    size: isExtended ? u64le(view, at + 8) : view.getUint32(at + 8, true),
    names: isExtended ? view.getUint32(at + 44, true) : view.getUint16(at + 6, true),
    u: view.getUint32(at + 16, true),
    xattrs: xattrSize === 0 ? null : readXattrs(image, xattrsAt, xattrSize, nid),
    layout: format >>> 1,
    end: xattrsAt + xattrSize,
  };
}

/** A little-endian i64; far from 0 it is rounded, which is far outside of all limits. */
function i64le(view: DataView, offset: number): number {
  return view.getInt32(offset + 4, true) * TWO_32 + view.getUint32(offset, true);
}

function readXattrs(
  image: ImageBytes,
  at: number,
  size: number,
  nid: number,
): ReadonlyMap<string, Uint8Array> | null {
  const section = `inode ${nid}`;
  const bytes = image.own('inode', nid, at, size);
  if (size > MAX_XATTR_BYTES) {
    throw image.bad(section, at, `xattrs of at most ${MAX_XATTR_BYTES} bytes`, size, 'LIMIT');
  }
  if (bytes.readUInt8(4) !== 0) {
    throw image.bad(section, at + 4, 'no shared xattrs, as in RAFS', bytes.readUInt8(4));
  }
  const xattrs = new Map<string, Uint8Array>();
  for (let entry = XATTR_HEADER; entry + 4 <= size;) {
    const nameLength = bytes.readUInt8(entry);
    const index = bytes.readUInt8(entry + 1);
    const valueAt = entry + 4 + nameLength;
    const end = valueAt + bytes.readUInt16LE(entry + 2);
    const prefix = PREFIXES.get(index);
    if (prefix === undefined) {
      throw image.bad(section, at + entry + 1, 'a prefix of xattrs that is known', index);
    }
    if (end > size) {
      throw image.bad(section, at + entry, `an xattr that ends by ${at + size}`, at + end);
    }
    const name = prefix + bytes.toString('latin1', entry + 4, valueAt);
    if (xattrs.has(name)) throw image.bad(section, at + entry, 'each xattr once', 'one twice');
    xattrs.set(name, bytes.subarray(valueAt, end));
    entry = (end + 3) & ~3;
  }
  return xattrs;
}

/**
 * The bytes of a directory or of the target of a symlink.
 * @returns parts of at most one block, in their order
 * @throws OverlaybdError BAD_FORMAT
 */
export function* blocksOf(image: ImageBytes, inode: FlatInode): Generator<Buffer> {
  const { nid, at, size, layout, u, end } = inode;
  const section = `inode ${nid}`;
  if (layout !== FLAT_PLAIN && layout !== FLAT_INLINE) {
    throw image.bad(section, at, 'a directory or symlink in blocks or inline', `layout ${layout}`);
  }
  if (size > image.size) throw image.bad(section, at + 8, `at most ${image.size} bytes`, size);
  const inline = layout === FLAT_INLINE ? size % BLOCK : 0;
  for (let done = 0; done < size - inline; done += BLOCK) {
    const n = Math.min(BLOCK, size - inline - done);
    yield image.own('data of inode', nid, u * BLOCK + done, n);
  }
  if (inline === 0) return;
  if ((end % BLOCK) + inline > BLOCK) {
    throw image.bad(`data of ${section}`, end, 'inline bytes within one block', inline);
  }
  yield image.own('data of inode', nid, end, inline);
}

/**
 * Gets one chunk of a file.
 * @param fileOffset byte offset in the file
 * @param length bytes
 * @param blob its number
 * @param offset byte offset in the plain bytes of the blob
 */
export type EachChunk = (fileOffset: number, length: number, blob: number, offset: number) => void;

const INDEX = 8;
const INDEXES = 0x20;
const SIZE_BITS = 0x1f;
const HOLE = 0xffff_ffff;

/**
 * The chunks of a file in their order; holes are left out.
 * @throws OverlaybdError BAD_FORMAT, and what `each` throws
 */
export function forEachChunk(image: ImageBytes, inode: RafsInode, each: EachChunk): void {
  const { nid, at, size, layout, u, end } = inode;
  if (size === 0) return;
  if (layout !== CHUNK_BASED) {
    throw image.bad(`inode ${nid}`, at, 'a file of chunks', `layout ${layout}`);
  }
  if ((u & ~SIZE_BITS) !== INDEXES) {
    throw image.bad(`inode ${nid}`, at + 16, 'a chunk format with indexes of 8 bytes', u);
  }
  const chunkSize = BLOCK * 2 ** (u & SIZE_BITS);
  const count = Math.ceil(size / chunkSize);
  const first = Math.ceil(end / INDEX) * INDEX;
  image.take('chunk indexes of inode', nid, first, count * INDEX);
  const { view } = image;
  for (let i = 0; i < count; i++) {
    const index = first + i * INDEX;
    const block = view.getUint32(index + 4, true);
    if (block === HOLE) continue;
    const device = view.getUint16(index + 2, true) & 0xff;
    if (device === 0) throw noDevice(image, nid, index + 2);
    const fileOffset = i * chunkSize;
    each(fileOffset, Math.min(chunkSize, size - fileOffset), device - 1, block * BLOCK);
  }
}

function noDevice(image: ImageBytes, nid: number, at: number): OverlaybdError {
  return image.bad(`chunk indexes of inode ${nid}`, at, 'the number of a blob, from 1 on', 0);
}
