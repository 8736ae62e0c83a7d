// A tree as an EROFS image on several devices: chunks of files anywhere on them, whole files in blocks that are numbered as
// those of the image, and last bytes of files behind their inodes.
import { archiveMember } from '../archive-writer.js';
import { inodeBytes, type ImageFile } from '../composefs-writer.js';
import { writeDevices, type Device, type DeviceFile } from '../erofs-devices-writer.js';
import { seededRandom } from '../pattern.js';
import { imageFileOf } from './composefs-form.js';
import type { TreeFile } from './tree-files.js';

export interface DevicesOptions {
  /** Bytes. */
  readonly blockSize: number;
  /** Bytes up to which contents may be in the image. */
  readonly inline: number;
  /** How many devices; 'archive': one, which is an archive, whose blocks have 512 bytes. */
  readonly devices: number | 'archive';
  /** Whether the image says what they are called. */
  readonly isTagged: boolean;
  /** Whether their blocks are numbered after those of the image. */
  readonly isPlaced: boolean;
  /** Blocks of a chunk, as a power of two. */
  readonly chunkBits: number;
  /** Bytes that each device is longer than the image says. */
  readonly padding: number;
  /** What is where. */
  readonly seed: number;
}

export interface DevicesForm {
  image: Buffer;
  /** By the names of their files. */
  devices: Map<string, Buffer>;
}

/** Behind the inodes of any image that tests make. */
const FIRST_PLACE = 100_000;
/** An inode, and all that follows it up to here, are in one block. */
const SLOT = 512;
/** Where the blocks of the image itself begin that writers of inodes leave free. */
const FRONT = 4096;

/** What has contents: a further device, or the front of the image. */
class Space {
  readonly number: number;
  /** Its number among the blocks of the image; null: they have none. */
  readonly firstBlock: number | null;
  readonly #blockSize: number;
  readonly #isArchive: boolean;
  readonly #parts: Buffer[] = [];
  readonly #known = new Map<string, number>();
  #blocks = 0;

  constructor(number: number, firstBlock: number | null, blockSize: number, isArchive: boolean) {
    this.number = number;
    this.firstBlock = firstBlock;
    this.#blockSize = blockSize;
    this.#isArchive = isArchive;
  }

  get blocks(): number {
    return this.#blocks;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }

  /** @param gap blocks in front of it @returns the first block of the contents; the same for the same ones */
  add(content: Buffer, gap: number): number {
    const key = content.toString('latin1');
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    if (this.#isArchive) this.#push(archiveMember({ name: 'file', content }).subarray(0, 512));
    else this.#push(Buffer.alloc(gap * this.#blockSize, 0xee));
    const block = this.#blocks;
    // What follows the contents in their last block is no part of them.
    const rest = Buffer.alloc(-content.length & (this.#blockSize - 1), 0xdd);
    this.#push(Buffer.concat([content, rest]));
    this.#known.set(key, block);
    return block;
  }

  #push(bytes: Buffer): void {
    this.#parts.push(bytes);
    this.#blocks += bytes.length / this.#blockSize;
  }
}

export function writeDevicesForm(files: readonly TreeFile[], options: DevicesOptions): DevicesForm {
  const { isTagged, padding } = options;
  const blockSize = options.devices === 'archive' ? 512 : options.blockSize;
  const writer = new Contents({ ...options, blockSize });
  const written = files.map((file) => writer.place(file));
  const { front, devices } = writer;
  const table = devices.map(({ number, blocks, firstBlock }): Device => ({
    blocks,
    ...(isTagged && { tag: `device ${number}` }),
    ...(firstBlock !== null && { firstBlock }),
  }));
  const { bytes: own } = front;
  const { bytes: image } = writeDevices(written, table, {
    blockSize,
    front: Buffer.concat([own, Buffer.alloc(-own.length & 4095)]),
  });
  return {
    image,
    devices: new Map(
      devices.map(({ number, bytes }) => [
        isTagged ? `device ${number}` : `${number}`,
        Buffer.concat([bytes, Buffer.alloc(padding, 0xcc)]),
      ]),
    ),
  };
}

class Contents {
  readonly front: Space;
  readonly devices: readonly Space[];
  readonly #options: DevicesOptions;
  readonly #random: () => number;

  constructor(options: DevicesOptions) {
    const { devices, isPlaced, blockSize, seed } = options;
    const isArchive = devices === 'archive';
    this.#options = options;
    this.#random = seededRandom(seed);
    this.front = new Space(0, FRONT / blockSize, blockSize, false);
    this.devices = Array.from({ length: isArchive ? 1 : devices }, (_, i) => {
      const firstBlock = isPlaced || isArchive ? FIRST_PLACE * (i + 1) : null;
      return new Space(i + 1, firstBlock, blockSize, isArchive);
    });
  }

  place(file: TreeFile): DeviceFile {
    const image = imageFileOf(file);
    const { bytes } = file;
    if (file.sameAs !== undefined || !bytes || bytes.length === 0) return image;
    const { inline } = this.#options;
    if (bytes.length <= inline && this.#pick(2) === 0) return { ...image, inline: bytes };
    return this.#pick(3) === 0 ? this.#inBlocks(image, bytes) : this.#inChunks(image, bytes);
  }

  #inBlocks(image: ImageFile, bytes: Buffer): DeviceFile {
    const { blockSize } = this.#options;
    const length = bytes.length % blockSize;
    const hasTail = length > 0 && inodeBytes(image.xattrs) + length <= SLOT;
    const end = bytes.length - (hasTail ? length : 0);
    const space = this.#placed();
    return {
      ...image,
      size: bytes.length,
      block: end === 0 ? 0 : this.#add(space, bytes.subarray(0, end)),
      ...(hasTail && { tail: bytes.subarray(end) }),
    };
  }

  #inChunks(image: ImageFile, bytes: Buffer): DeviceFile {
    const { blockSize, chunkBits } = this.#options;
    const isNarrow = this.#pick(3) === 0;
    const chunks: NonNullable<DeviceFile['chunks']> = [];
    const chunkSize = blockSize * 2 ** chunkBits;
    for (let at = 0; at < bytes.length; at += chunkSize) {
      const chunk = bytes.subarray(at, at + chunkSize);
      if (chunk.every((byte) => byte === 0) && this.#pick(4) > 0) {
        chunks.push(null);
        continue;
      }
      // Device 0 has all blocks that are numbered as those of the image.
      const isNumbered = isNarrow || this.#pick(3) === 0;
      const space = isNumbered ? this.#placed() : this.#any();
      const block = this.#add(space, chunk);
      const first = space.firstBlock ?? 0;
      chunks.push(isNumbered || space === this.front ? [0, block] : [space.number, block - first]);
    }
    return { ...image, size: bytes.length, chunkBits, isNarrow, chunks };
  }

  /** @returns the block, as those of the image are numbered if the space has such numbers */
  #add(space: Space, content: Buffer): number {
    return space.add(content, this.#pick(3)) + (space.firstBlock ?? 0);
  }

  #any(): Space {
    return this.devices[this.#pick(this.devices.length)] as Space;
  }

  #placed(): Space {
    const space = this.#any();
    return space.firstBlock === null || this.#pick(4) === 0 ? this.front : space;
  }

  #pick(count: number): number {
    return this.#random() % count;
  }
}
