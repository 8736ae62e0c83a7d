// The bytes and the tree of a served device, read through the merged disk as a reactor reads it, page by page: a page that cannot
// be read spoils the files that it belongs to, and no other.
import { OverlaybdError } from '../../../daemon/errors.js';
import type { Disk } from '../../../daemon/lib/disk.js';
import { readLoaded } from '../../../daemon/lib/loaded.js';
import { readErofs } from './reader.js';
import { treeLines, type TreeLine } from './tree-lines.js';

export const PAGE = 4096;
/** Read at once where nothing is broken. */
const CHUNK = 64 * PAGE;

export interface DeviceBytes {
  readonly bytes: Buffer;
  /** Byte offset of each page of the device that cannot be read, and why. */
  readonly broken: ReadonlyMap<number, OverlaybdError>;
}

export interface DeviceTree extends Pick<DeviceBytes, 'broken'> {
  readonly lines: readonly TreeLine[];
}

export async function treeOfDevice(disk: Disk): Promise<DeviceTree> {
  const { bytes, broken } = await bytesOfDevice(disk);
  const { entries } = readErofs((at, n) => bytes.subarray(at, at + n), disk.size);
  return { lines: treeLines(entries), broken };
}

/** All bytes of a device. Broken pages have zeros. */
export async function bytesOfDevice(disk: Disk): Promise<DeviceBytes> {
  const bytes = Buffer.alloc(disk.size);
  const broken = new Map<number, OverlaybdError>();
  const cursor = { hint: 0 };
  const read = async (at: number, length: number): Promise<void> => {
    const n = Math.min(length, disk.size - at);
    try {
      await disk.ensure(at, n);
      await readLoaded(disk, at, n, () => disk.read(at, n, bytes, at, cursor));
    } catch (error) {
      if (!(error instanceof OverlaybdError)) throw error;
      if (n <= PAGE) {
        bytes.fill(0, at, at + n);
        broken.set(at, error);
        return;
      }
      for (let page = at; page < at + n; page += PAGE) await read(page, PAGE);
    }
  };
  for (let at = 0; at < disk.size; at += CHUNK) await read(at, CHUNK);
  return { bytes, broken };
}
