// Writes small EROFS images whose files have contents on further devices. Written from the description of the format, not from
// the reader that it tests.
import {
  inodeBytes,
  writeComposefs,
  type ImageFile,
  type ImageOptions,
} from './composefs-writer.js';

export interface DeviceFile extends ImageFile {
  /** Of a file with `size`: where each of its chunks is; null is a hole. */
  chunks?: ([device: number, block: number] | null)[];
  /** Blocks of a chunk, as a power of two; 0 by default. */
  chunkBits?: number;
  /** Chunks have no device: all blocks are numbered as those of the image. */
  isNarrow?: boolean;
  /** Of a file with `size`: the first of its blocks, which are numbered as those of the image. */
  block?: number;
  /** Of a file with `block`: its last bytes, which lie behind its inode. */
  tail?: Uint8Array;
}

export interface Device {
  tag?: string;
  blocks: number;
  firstBlock?: number;
}

export const BLOCK = 4096;
const SB = 1024;
/** Behind the superblock, in units of 128 bytes. */
const TABLE = 9;
const NO_BLOCK = 0xffff_ffff;

export interface WrittenDevices {
  bytes: Buffer;
  /** Byte offset of each inode, by path. */
  inodes: Map<string, number>;
  /** Byte offset of the table of devices. */
  table: number;
}

export function writeDevices(
  files: readonly DeviceFile[],
  devices: readonly Device[],
  options: ImageOptions = {},
): WrittenDevices {
  const { bytes, inodes } = writeComposefs(
    files.map((file) => ({ ...file, room: roomOf(file) })),
    options,
  );
  // Not a composefs image.
  bytes.fill(0, 0, 32);
  bytes.writeUInt32LE(0xc, SB + 80);
  bytes.writeUInt16LE(devices.length, SB + 86);
  bytes.writeUInt16LE(TABLE, SB + 88);
  const table = TABLE * 128;
  for (const [i, { tag = '', blocks, firstBlock = 0 }] of devices.entries()) {
    const at = table + i * 128;
    bytes.write(tag, at, 'latin1');
    bytes.writeUInt32LE(blocks, at + 64);
    bytes.writeUInt32LE(firstBlock, at + 68);
  }
  for (const file of files) {
    const at = inodes.get(file.path);
    if (at === undefined) continue;
    if (file.block !== undefined) writeBlocks(bytes, at, file, file.block);
    if (file.chunks) writeChunks(bytes, at, file, file.chunks);
  }
  return { bytes, inodes, table };
}

function roomOf({ chunks = [], tail }: DeviceFile): number {
  return tail ? tail.length : 8 + 8 * chunks.length;
}

function writeBlocks(bytes: Buffer, at: number, { xattrs, tail }: DeviceFile, block: number): void {
  bytes.writeUInt16LE(tail ? 5 : 1, at);
  bytes.writeUInt32LE(block, at + 16);
  if (tail) bytes.set(tail, at + inodeBytes(xattrs));
}

function writeChunks(
  bytes: Buffer,
  at: number,
  { xattrs, chunkBits = 0, isNarrow = false }: DeviceFile,
  chunks: NonNullable<DeviceFile['chunks']>,
): void {
  const width = isNarrow ? 4 : 8;
  const first = Math.ceil((at + inodeBytes(xattrs)) / width) * width;
  bytes.writeUInt32LE(chunkBits | (isNarrow ? 0 : 0x20), at + 16);
  for (const [i, chunk] of chunks.entries()) {
    const [device, number] = chunk ?? [0, NO_BLOCK];
    if (!isNarrow) bytes.writeUInt16LE(device, first + width * i + 2);
    bytes.writeUInt32LE(number, first + width * (i + 1) - 4);
  }
}
