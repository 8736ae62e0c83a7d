// The files of a disk that is an EROFS image, read without the kernel and without a program: only the pages of the image that
// are needed for the files that somebody looks at.

import { formatError, messageOf } from '../errors.js';
import { chunkForm, chunkPlace, flatExtents, type Extent } from '../erofs/reader/contents.js';
import {
  areInside,
  deviceMask,
  deviceTable,
  type DeviceSlot,
} from '../erofs/devices/device-table.js';
import { readDirectory } from '../erofs/reader/directory.js';
import { areReadable } from '../erofs/reader/features.js';
import { arePrefixesPacked } from '../erofs/reader/long-prefixes.js';
import { inodePlace, readInode, type ErofsInode } from '../erofs/reader/inode.js';
import { PagedImage, type PagedBytes } from '../erofs/reader/paged-image.js';
import { MAX_XATTR_ENTRY_BYTES, readXattrs, sharedXattrs } from '../erofs/reader/xattrs.js';
import { deviceOfWord, typeOfMode, type FileType } from '../tree/file-types.js';
import { errorOf } from '../lib/fault.js';
import { MAX_FILE_BYTES, MAX_LAYER_ENTRIES, MAX_TARGET_BYTES } from '../tree/limits.js';
import { compareBytes } from '../tree/names.js';
import type { ContentPiece, FileStat, ImageFile } from './image-file.js';

/** Bytes of contents that are read at a time. */
const PIECE_SIZE = 1 << 20;
/** Bytes of the longest inode. */
const INODE_SIZE = 64;

/** An image, and the devices that are in it after its own blocks. */
interface ErofsDisk {
  readonly image: PagedImage;
  readonly slots: readonly DeviceSlot[];
  /** Why no program reads compressed contents; null: there should be none. */
  readonly missing: unknown;
}

/**
 * @param missing why no program shows the image; null: one may do that. Without one, names and attributes of an image with
 *   compressed files are shown all the same
 * @returns null if the bytes are no EROFS image, or one with features that only a program knows, such as compressed files
 * @throws OverlaybdError BAD_FORMAT, LIMIT, and what reading throws
 */
export async function erofsRoot(
  bytes: PagedBytes,
  missing: unknown = null,
): Promise<ImageFile | null> {
  const image = await PagedImage.open(bytes);
  if (!image || !areReadable(image.superblock, missing !== null)) return null;
  if (arePrefixesPacked(image.superblock)) return null;
  const { superblock, blob: name, end: size } = image;
  const read = image.read.bind(image);
  const slots = await deviceTable({ name, size, read }, superblock);
  if (!areInside(slots, size, superblock)) return null;
  await image.needPrefixes();
  const root = await fileOf({ image, slots, missing }, superblock.rootNid);
  if (root.type !== 'dir') throw bad(image, root.node, 'a directory', `mode ${root.node.mode}`);
  return root;
}

class ErofsFile implements ImageFile {
  readonly node: ErofsInode;
  readonly type: FileType;
  readonly #disk: ErofsDisk;
  readonly #image: PagedImage;
  #entries: Promise<Map<string, number>> | null = null;

  constructor(disk: ErofsDisk, node: ErofsInode, type: FileType) {
    this.#disk = disk;
    this.#image = disk.image;
    this.node = node;
    this.type = type;
  }

  get inode(): number {
    return this.node.nid;
  }

  async stat(): Promise<FileStat> {
    const { type, node } = this;
    const { mode, uid, gid, size, mtime, mtimeNs, nlink, place } = node;
    return {
      type,
      mode: mode & 0o7777,
      uid,
      gid,
      size: type === 'reg' || type === 'symlink' ? size : 0,
      mtime,
      mtimeNs,
      nlink,
      rdev: type === 'char' || type === 'block' ? deviceOfWord(place) : null,
      target: type === 'symlink' ? await this.#target() : '',
      layer: null,
    };
  }

  async names(): Promise<readonly string[]> {
    return [...(await this.#children()).keys()].toSorted(compareBytes);
  }

  async child(name: string): Promise<ImageFile | null> {
    const nid = (await this.#children()).get(name);
    return nid === undefined ? null : fileOf(this.#disk, nid);
  }

  async xattrs(): Promise<ReadonlyMap<string, Uint8Array>> {
    const { node } = this;
    const image = this.#image;
    await image.need(node.xattrsAt, node.end);
    for (const begin of sharedXattrs(image, node)) {
      await image.need(begin, begin + MAX_XATTR_ENTRY_BYTES);
    }
    return readXattrs(image, node, () => undefined, true);
  }

  async *contents(): AsyncGenerator<ContentPiece> {
    for await (const { fileOffset, length, offset } of this.#extents()) {
      for (let done = 0; done < length; done += PIECE_SIZE) {
        const size = Math.min(PIECE_SIZE, length - done);
        yield {
          offset: fileOffset + done,
          bytes: await this.#image.read(offset + done, size),
        };
      }
    }
  }

  async *#extents(): AsyncGenerator<Extent> {
    const { node } = this;
    const { superblock, end, blob } = this.#image;
    const { missing } = this.#disk;
    if (node.size > MAX_FILE_BYTES) {
      throw bad(this.#image, node, `a file of at most ${MAX_FILE_BYTES} bytes`, node.size, 'LIMIT');
    }
    if (node.layout === 'compressed' && missing !== null) {
      const why = `its contents are compressed: ${messageOf(missing)}`;
      throw errorOf('PROGRAM_MISSING', blob, why, missing);
    }
    if (node.layout === 'chunks') yield* chunkExtents(this.#disk, node);
    else yield* flatExtents(node, superblock, end, blob);
  }

  #children(): Promise<Map<string, number>> {
    this.#entries ??= this.#readDirectory();
    return this.#entries;
  }

  async #readDirectory(): Promise<Map<string, number>> {
    const { node } = this;
    const entries = new Map<string, number>();
    if (this.type !== 'dir') return entries;
    await this.#needContents();
    const { bytes, superblock, blob } = this.#image;
    for (const block of readDirectory(bytes, superblock, node, blob)) {
      // Sockets are left out, as of layers of files.
      for (const { name, nid, isSocket } of block) if (!isSocket) entries.set(name, nid);
      if (entries.size <= MAX_LAYER_ENTRIES) continue;
      throw bad(this.#image, node, `at most ${MAX_LAYER_ENTRIES} names`, entries.size, 'LIMIT');
    }
    return entries;
  }

  async #target(): Promise<string> {
    const { bytes, superblock, blob } = this.#image;
    const { size } = this.node;
    if (size > MAX_TARGET_BYTES) {
      throw bad(this.#image, this.node, `a target of at most ${MAX_TARGET_BYTES} bytes`, size);
    }
    await this.#needContents();
    return flatExtents(this.node, superblock, bytes.length, blob)
      .map(({ offset, length }) => bytes.toString('latin1', offset, offset + length))
      .join('');
  }

  /** All that a directory or a symlink has. */
  async #needContents(): Promise<void> {
    const { node } = this;
    const { bytes, superblock, blob } = this.#image;
    for (const { offset, length } of flatExtents(node, superblock, bytes.length, blob)) {
      await this.#image.need(offset, offset + length);
    }
  }
}

/** Chunks that follow each other are one extent. */
async function* chunkExtents(
  { image, slots }: ErofsDisk,
  node: ErofsInode,
): AsyncGenerator<Extent> {
  const { bytes, superblock, blob } = image;
  const form = chunkForm(node, superblock, bytes, blob);
  const mask = deviceMask(slots);
  let fileOffset = 0;
  let offset = 0;
  let length = 0;
  for (let i = 0; i < form.count; i++) {
    const at = form.at + i * form.width;
    await image.need(at, at + form.width);
    const { device, block } = chunkPlace(form, i, bytes);
    if (block === null) continue;
    const number = device & mask;
    const slot = slots[number - 1];
    if (number > 0 && !slot) throw bad(image, node, `a device up to ${slots.length}`, number);
    const begin = ((slot?.firstBlock ?? 0) + block) * superblock.blockSize;
    const here = i * form.chunkSize;
    const size = Math.min(form.chunkSize, node.size - here);
    if (begin + size > image.end) {
      throw bad(image, node, `contents before byte ${image.end}`, begin + size);
    }
    if (length > 0 && offset + length === begin && fileOffset + length === here) {
      length += size;
      continue;
    }
    if (length > 0) yield { fileOffset, length, offset };
    [fileOffset, offset, length] = [here, begin, size];
  }
  if (length > 0) yield { fileOffset, length, offset };
}

async function fileOf(disk: ErofsDisk, nid: number): Promise<ErofsFile> {
  const { image } = disk;
  const { bytes, superblock, blob } = image;
  const at = inodePlace(superblock, nid);
  await image.need(at, at + INODE_SIZE);
  const node = readInode(bytes, superblock, nid, blob);
  const type = typeOfMode(node.mode);
  if (type === undefined || type === 'socket') {
    throw bad(image, node, 'a type of file that images have', `mode 0${node.mode.toString(8)}`);
  }
  return new ErofsFile(disk, node, type);
}

function bad(
  { blob }: PagedImage,
  { nid, at }: ErofsInode,
  expected: string,
  got: string | number,
  code: 'BAD_FORMAT' | 'LIMIT' = 'BAD_FORMAT',
): Error {
  return formatError({ blob, section: `inode ${nid}`, offset: at, expected, got, code });
}
