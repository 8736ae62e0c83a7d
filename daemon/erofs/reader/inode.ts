// Inodes of an EROFS image that another program has made: compact and extended ones.

import { formatError } from '../../errors.js';
import { TWO_32 } from '../../lib/bytes.js';
import { typeOfMode } from '../../tree/file-types.js';
import { I, INODE, NO_BLOCK, NO_WIDE_BLOCK, SLOT, XATTR_HEADER } from '../format.js';
import type { Superblock } from './superblock.js';

/** Bytes of a compact inode. */
const COMPACT = 32;
/** Offsets in a compact inode where it differs from an extended one. */
const C = { nlink: 6, mtime: 12, uid: 24, gid: 26 } as const;
/** Offset of the high bits of the first block, in both kinds of inodes. */
const PLACE_HIGH = 6;

/** How contents are stored, by the number in the inode's format. */
const LAYOUTS = ['plain', 'compressed', 'inline', 'compressed', 'chunks'] as const;
export type ContentLayout = (typeof LAYOUTS)[number];
/**
 * In the format of a compact inode that is no directory: it has one name, and high bits of its first block instead of their
 * number. In that of a directory: it has no entry `.`.
 */
const ONE_NAME = 0x10;

/** An inode. Offsets are bytes in the image. */
export interface ErofsInode {
  readonly nid: number;
  /** Where it begins. */
  readonly at: number;
  /** With the type of the file. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly nlink: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  readonly mtimeNs: number;
  /** Bytes. */
  readonly size: number;
  readonly layout: ContentLayout;
  /** The first block, the number of a device, or the form of chunks. */
  readonly place: number;
  /** Instead of a first block: its blocks are zeros, for Linux 6.15 and later. */
  readonly isHole: boolean;
  readonly xattrsAt: number;
  /** Where its xattrs end: inline contents or chunk numbers may follow. */
  readonly end: number;
}

/** The byte offset in the image of the inode of a nid. */
export function inodePlace({ metaStart }: Superblock, nid: number): number {
  return metaStart + nid * SLOT;
}

/** The bytes of the image that have the inode of a nid, in whatever form: from the first to before the second. */
export function inodeRange(sb: Superblock, nid: number): [number, number] {
  const at = inodePlace(sb, nid);
  return [at, at + INODE];
}

/**
 * Reads the inode of a nid.
 * @param image all bytes of the image
 * @param blob for messages
 * @throws OverlaybdError BAD_FORMAT
 */
export function readInode(image: Buffer, sb: Superblock, nid: number, blob: string): ErofsInode {
  const at = inodePlace(sb, nid);
  const bad = (field: number, expected: string, got: string | number): Error =>
    formatError({ blob, section: `inode ${nid}`, offset: at + field, expected, got });
  if (at + COMPACT > image.length) throw bad(0, `an inode before byte ${image.length}`, 'none');
  const format = image.readUInt16LE(at);
  const isExtended = (format & 1) === 1;
  const hasFlag = sb.is48Bit && (format & ONE_NAME) !== 0;
  const layout = LAYOUTS[(hasFlag ? format & ~ONE_NAME : format) >>> 1];
  if (layout === undefined) throw bad(I.format, 'a known format', format);
  const xattrsAt = at + (isExtended ? INODE : COMPACT);
  const xattrCount = image.readUInt16LE(at + I.xattrCount);
  const xattrBytes = xattrCount === 0 ? 0 : XATTR_HEADER + 4 * (xattrCount - 1);
  const end = xattrsAt + xattrBytes;
  if (end > image.length) throw bad(I.xattrCount, `xattrs before byte ${image.length}`, end);
  const mode = image.readUInt16LE(at + I.mode);
  const hasOneName = hasFlag && !isExtended && typeOfMode(mode) !== 'dir';
  const isWide = sb.is48Bit && (isExtended || hasOneName) && isInBlocks(mode, layout);
  const high = isWide ? image.readUInt16LE(at + PLACE_HIGH) : 0;
  const place = high * TWO_32 + image.readUInt32LE(at + I.place);
  const isHole = place === (isWide ? NO_WIDE_BLOCK : NO_BLOCK) && isInBlocks(mode, layout);
  // Both are written out: `{ ...common }` takes 8 us.
  if (!isExtended) {
    return {
      nid,
      at,
      mode,
      layout,
      place,
      isHole,
      xattrsAt,
      end,
      size: image.readUInt32LE(at + I.size),
      uid: image.readUInt16LE(at + C.uid),
      gid: image.readUInt16LE(at + C.gid),
      nlink: hasOneName ? 1 : image.readUInt16LE(at + C.nlink),
      mtime: sb.epoch + (sb.is48Bit ? image.readUInt32LE(at + C.mtime) : 0),
      mtimeNs: sb.epochNs,
    };
  }
  const size = image.readUInt32LE(at + I.size + 4) * TWO_32 + image.readUInt32LE(at + I.size);
  const mtime = image.readInt32LE(at + I.mtime + 4) * TWO_32 + image.readUInt32LE(at + I.mtime);
  const mtimeNs = image.readUInt32LE(at + I.nanoseconds);
  if (!Number.isSafeInteger(size)) throw bad(I.size, 'a size below 2^53', size);
  if (!Number.isSafeInteger(mtime)) throw bad(I.mtime, 'a time', mtime);
  if (mtimeNs >= 1e9) throw bad(I.nanoseconds, 'nanoseconds of a second', mtimeNs);
  return {
    nid,
    at,
    mode,
    layout,
    place,
    isHole,
    xattrsAt,
    end,
    size,
    uid: image.readUInt32LE(at + I.uid),
    gid: image.readUInt32LE(at + I.gid),
    nlink: image.readUInt32LE(at + I.nlink),
    mtime,
    mtimeNs,
  };
}

/** Whether the place of an inode is the number of its first block. */
function isInBlocks(mode: number, layout: ContentLayout): boolean {
  const type = typeOfMode(mode);
  if (layout !== 'plain' && layout !== 'inline') return false;
  return type === 'reg' || type === 'dir' || type === 'symlink';
}
