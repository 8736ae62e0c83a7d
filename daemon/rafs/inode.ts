// Inodes of a bootstrap, as they are in EROFS: attributes, extended attributes, and where their bytes are.

import type { OverlaybdError } from '../errors.js';
import { MAX_XATTR_BYTES } from '../tree/limits.js';
import { i64, u64, type ImageBytes } from './image-bytes.js';
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
  const section = `inode ${nid}`;
  const head = image.own(section, at, COMPACT);
  const format = head.readUInt16LE(0);
  if ((format & ~KNOWN_FORMAT) !== 0) throw image.bad(section, at, 'a format below 16', format);
  const isExtended = (format & 1) === 1;
  const inode = isExtended ? image.part(section, at, EXTENDED) : head;
  const xattrsAt = at + inode.length;
  const count = inode.readUInt16LE(2);
  const xattrSize = count === 0 ? 0 : XATTR_HEADER + 4 * (count - 1);
  return {
    nid,
    at,
    mode: inode.readUInt16LE(4),
    uid: isExtended ? inode.readUInt32LE(24) : inode.readUInt16LE(24),
    gid: isExtended ? inode.readUInt32LE(28) : inode.readUInt16LE(26),
    mtime: isExtended ? i64(inode, 32) : epoch,
    mtimeNs: isExtended ? inode.readUInt32LE(40) : epochNs,
    size: isExtended ? u64(inode, 8) : inode.readUInt32LE(8),
    names: isExtended ? inode.readUInt32LE(44) : inode.readUInt16LE(6),
    u: inode.readUInt32LE(16),
    xattrs: xattrSize === 0 ? null : readXattrs(image, xattrsAt, xattrSize, section),
    layout: format >>> 1,
    end: xattrsAt + xattrSize,
  };
}

function readXattrs(
  image: ImageBytes,
  at: number,
  size: number,
  section: string,
): ReadonlyMap<string, Uint8Array> | null {
  const bytes = image.own(section, at, size);
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
    yield image.own(`data of ${section}`, u * BLOCK + done, n);
  }
  if (inline === 0) return;
  if ((end % BLOCK) + inline > BLOCK) {
    throw image.bad(`data of ${section}`, end, 'inline bytes within one block', inline);
  }
  yield image.own(`data of ${section}`, end, inline);
}

/** One chunk of a file. */
export interface FileChunk {
  /** Byte offset in the file. */
  readonly fileOffset: number;
  /** Bytes. */
  readonly length: number;
  /** Number of the blob. */
  readonly blob: number;
  /** Byte offset in the plain bytes of the blob. */
  readonly offset: number;
}

const INDEX = 8;
const INDEXES = 0x20;
const SIZE_BITS = 0x1f;
const HOLE = 0xffff_ffff;

/**
 * The chunks of a file; holes are left out.
 * @throws OverlaybdError BAD_FORMAT
 */
export function* chunksOf(image: ImageBytes, inode: RafsInode): Generator<FileChunk> {
  const { nid, at, size, layout, u, end } = inode;
  if (size === 0) return;
  const section = `inode ${nid}`;
  if (layout !== CHUNK_BASED) throw image.bad(section, at, 'a file of chunks', `layout ${layout}`);
  if ((u & ~SIZE_BITS) !== INDEXES) {
    throw image.bad(section, at + 16, 'a chunk format with indexes of 8 bytes', u);
  }
  const chunkSize = BLOCK * 2 ** (u & SIZE_BITS);
  const count = Math.ceil(size / chunkSize);
  const first = Math.ceil(end / INDEX) * INDEX;
  const indexes = image.own(`chunk indexes of ${section}`, first, count * INDEX);
  for (let i = 0; i < count; i++) {
    const block = indexes.readUInt32LE(i * INDEX + 4);
    if (block === HOLE) continue;
    const device = indexes.readUInt16LE(i * INDEX + 2) & 0xff;
    if (device === 0) throw noDevice(image, section, first + i * INDEX + 2);
    const fileOffset = i * chunkSize;
    const length = Math.min(chunkSize, size - fileOffset);
    yield { fileOffset, length, blob: device - 1, offset: block * BLOCK };
  }
}

function noDevice(image: ImageBytes, section: string, at: number): OverlaybdError {
  return image.bad(`chunk indexes of ${section}`, at, 'the number of a blob, from 1 on', 0);
}
