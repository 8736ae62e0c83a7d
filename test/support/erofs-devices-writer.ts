// Writes small EROFS images whose files have contents on further devices. Written from the description of the format, not from
// the reader that it tests.
import { writeComposefs, type ImageFile } from './composefs-writer.js';

export interface DeviceFile extends ImageFile {
  /** Of a file with `size`: where each of its chunks is; null is a hole. */
  chunks?: ([device: number, block: number] | null)[];
  /** Of a file with `size`: the first of its blocks, which are numbered as those of the image. */
  block?: number;
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

/** Chunks have one block. No file with chunks has xattrs. */
export function writeDevices(
  files: readonly DeviceFile[],
  devices: readonly Device[],
): WrittenDevices {
  const { bytes, inodes } = writeComposefs(files);
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
  for (const { path, chunks, block } of files) {
    const at = inodes.get(path);
    if (at === undefined) continue;
    if (block !== undefined) {
      bytes.writeUInt16LE(1, at);
      bytes.writeUInt32LE(block, at + 16);
    }
    if (!chunks) continue;
    bytes.writeUInt32LE(0x20, at + 16);
    for (const [i, chunk] of chunks.entries()) {
      const [device, number] = chunk ?? [0, NO_BLOCK];
      bytes.writeUInt16LE(device, at + 64 + 8 * i + 2);
      bytes.writeUInt32LE(number, at + 64 + 8 * i + 4);
    }
  }
  return { bytes, inodes, table };
}
