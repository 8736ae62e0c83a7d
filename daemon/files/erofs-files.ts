// The files of a disk that is an EROFS image, read without the kernel and without a program: only the pages of the image that
// are needed for the files that somebody looks at.

import { OverlaybdError, formatError, messageOf } from '../errors.js';
import {
  chunkForm,
  chunkPlace,
  flatExtents,
  type ChunkForm,
  type Extent,
} from '../erofs/reader/contents.js';
import {
  areInside,
  deviceMask,
  deviceTable,
  type DeviceSlot,
} from '../erofs/devices/device-table.js';
import { readDirectory } from '../erofs/reader/directory.js';
import { areReadable } from '../erofs/reader/features.js';
import { inodeRange, readInode, type ErofsInode } from '../erofs/reader/inode.js';
import { PagedImage, type ByteRange, type PagedBytes } from '../erofs/reader/paged-image.js';
import { MAX_XATTR_ENTRY_BYTES, readXattrs, sharedXattrs } from '../erofs/reader/xattrs.js';
import { deviceOfWord, typeOfMode, type FileType } from '../tree/file-types.js';
import { errorOf } from '../lib/fault.js';
import { MAX_FILE_BYTES, MAX_TARGET_BYTES } from '../tree/limits.js';
import { compareBytes } from '../tree/names.js';
import { ErofsFolders } from './erofs-folders.js';
import type { ContentPiece, FileStat, ImageFile } from './image-file.js';

/** Bytes of contents that are read at a time. */
const PIECE_SIZE = 1 << 20;
/** Chunks whose places are read at a time. */
const CHUNKS_AT_A_TIME = 1024;

/** An image, and the devices that are in it after its own blocks. */
interface ErofsDisk {
  readonly image: PagedImage;
  readonly slots: readonly DeviceSlot[];
  /** Why no program reads compressed contents; null: there should be none. */
  readonly missing: unknown;
  readonly folders: ErofsFolders;
}

/**
 * @param missing why no program shows the image; null: one may do that. Without one, names and attributes of an image with
 *   compressed files are shown all the same
 * @param kept bytes of pages of the image that are kept
 * @returns null if the bytes are no EROFS image, or one with features that only a program knows, such as compressed files
 * @throws OverlaybdError BAD_FORMAT, LIMIT, and what reading throws
 */
export async function erofsRoot(
  bytes: PagedBytes,
  missing: unknown = null,
  kept?: number,
): Promise<ImageFile | null> {
  const image = await PagedImage.open(bytes, kept);
  if (!image || !areReadable(image.superblock, missing !== null)) return null;
  const { superblock, blob: name, end: size } = image;
  const read = image.read.bind(image);
  const slots = await deviceTable({ name, size, read }, superblock);
  if (!areInside(slots, size, superblock)) return null;
  if (!(await hasPrefixes(image))) return null;
  const folders = new ErofsFolders(name, superblock.rootNid);
  const root = await fileOf({ image, slots, missing, folders }, superblock.rootNid);
  if (root.type !== 'dir') throw bad(image, root.node, 'a directory', `mode ${root.node.mode}`);
  return root;
}

/** Whether the long prefixes of names of xattrs are not compressed. They are read then. */
async function hasPrefixes(image: PagedImage): Promise<boolean> {
  try {
    await image.needPrefixes();
    return true;
  } catch (error) {
    if (error instanceof OverlaybdError && error.code === 'UNSUPPORTED') return false;
    throw error;
  }
}

class ErofsFile implements ImageFile {
  readonly node: ErofsInode;
  readonly type: FileType;
  readonly #disk: ErofsDisk;
  readonly #image: PagedImage;
  readonly #target: string;
  #entries: Promise<Map<string, number>> | null = null;
  /** What they take on the heap. */
  #entriesBytes = 0;

  /** @param target of a symlink; '' otherwise */
  constructor(disk: ErofsDisk, node: ErofsInode, type: FileType, target: string) {
    this.#disk = disk;
    this.#image = disk.image;
    this.node = node;
    this.type = type;
    this.#target = target;
  }

  get inode(): number {
    return this.node.nid;
  }

  stat(): Promise<FileStat> {
    const { type, node } = this;
    const { mode, uid, gid, size, mtime, mtimeNs, nlink, place } = node;
    return Promise.resolve({
      type,
      mode: mode & 0o7777,
      uid,
      gid,
      size: type === 'reg' || type === 'symlink' ? size : 0,
      mtime,
      mtimeNs,
      nlink,
      rdev: type === 'char' || type === 'block' ? deviceOfWord(place) : null,
      target: this.#target,
      layer: null,
    });
  }

  async names(): Promise<readonly string[]> {
    return [...(await this.#children()).keys()].toSorted(compareBytes);
  }

  async child(name: string): Promise<ImageFile | null> {
    const nid = (await this.#children()).get(name);
    if (nid === undefined) return null;
    const file = await fileOf(this.#disk, nid);
    if (file.type === 'dir') this.#disk.folders.see(file.node, this.node, name);
    return file;
  }

  leave(): void {
    this.#disk.folders.close(this.#entriesBytes);
    this.#entriesBytes = 0;
    this.#entries = null;
  }

  async xattrs(): Promise<ReadonlyMap<string, Uint8Array>> {
    const { node } = this;
    const image = this.#image;
    const own: ByteRange = [node.xattrsAt, node.end];
    const shared = await image.using([own], () =>
      sharedXattrs(image, node).map((begin): ByteRange => [begin, begin + MAX_XATTR_ENTRY_BYTES]),
    );
    return image.using([own, ...shared], () => {
      const xattrs = readXattrs(image, node, () => undefined, true);
      // The values are in the memory of the image.
      for (const [name, value] of xattrs) xattrs.set(name, Uint8Array.from(value));
      return xattrs;
    });
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
    // Whoever asks after a failure reads them again.
    this.#entries ??= this.#readDirectory().catch((error: unknown) => {
      this.leave();
      throw error;
    });
    return this.#entries;
  }

  async #readDirectory(): Promise<Map<string, number>> {
    const { node } = this;
    const image = this.#image;
    const { superblock, blob } = image;
    const entries = new Map<string, number>();
    if (this.type !== 'dir') return entries;
    return image.using(rangesOf(image, node), (bytes) => {
      for (const block of readDirectory(bytes, superblock, node, blob)) {
        this.#entriesBytes += this.#disk.folders.open(node, block);
        // Sockets are left out, as of layers of files.
        for (const { name, nid, isSocket } of block) if (!isSocket) entries.set(name, nid);
      }
      return entries;
    });
  }
}

async function targetOf(image: PagedImage, node: ErofsInode): Promise<string> {
  if (node.size > MAX_TARGET_BYTES) {
    throw bad(image, node, `a target of at most ${MAX_TARGET_BYTES} bytes`, node.size);
  }
  const ranges = rangesOf(image, node);
  return image.using(ranges, (bytes) =>
    ranges.map(([begin, end]) => bytes.toString('latin1', begin, end)).join(''),
  );
}

/** All that a directory or a symlink has. */
function rangesOf({ superblock, length: end, blob }: PagedImage, node: ErofsInode): ByteRange[] {
  return flatExtents(node, superblock, end, blob).map(({ offset, length }) => [
    offset,
    offset + length,
  ]);
}

/** Chunks that follow each other are one extent. */
async function* chunkExtents(
  { image, slots }: ErofsDisk,
  node: ErofsInode,
): AsyncGenerator<Extent> {
  const { superblock, blob } = image;
  const form = chunkForm(node, superblock, image.length, blob);
  const mask = deviceMask(slots);
  let fileOffset = 0;
  let offset = 0;
  let length = 0;
  for await (const [i, { device, block }] of placesOf(image, form)) {
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

/** The places of chunks, by their numbers. */
async function* placesOf(
  image: PagedImage,
  form: ChunkForm,
): AsyncGenerator<[number, ReturnType<typeof chunkPlace>]> {
  const { at, width, count } = form;
  for (let first = 0; first < count; first += CHUNKS_AT_A_TIME) {
    const after = Math.min(count, first + CHUNKS_AT_A_TIME);
    const places = await image.using([[at + first * width, at + after * width]], (bytes) =>
      Array.from({ length: after - first }, (_, i) => chunkPlace(form, first + i, bytes)),
    );
    for (const [i, place] of places.entries()) yield [first + i, place];
  }
}

async function fileOf(disk: ErofsDisk, nid: number): Promise<ErofsFile> {
  const { image } = disk;
  const { superblock, blob } = image;
  const node = await image.using([inodeRange(superblock, nid)], (bytes) =>
    readInode(bytes, superblock, nid, blob),
  );
  const type = typeOfMode(node.mode);
  if (type === undefined || type === 'socket') {
    throw bad(image, node, 'a type of file that images have', `mode 0${node.mode.toString(8)}`);
  }
  // Not when somebody asks for the attributes: one damaged symlink must not end a whole list.
  const target = type === 'symlink' ? await targetOf(image, node) : '';
  return new ErofsFile(disk, node, type, target);
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
