// The disk that an image is, while its layers are open: what is on it, before a program is started that shows its files.

import { throwProblem } from '../errors.js';
import { partitionOf, partitionTableOf, readDisk } from '../image/disks/disk-partitions.js';
import { lsmtLayersOf, virtualSizeOf, type OpenedLayer } from '../image/stack/open-stack.js';
import { mergedIndex } from '../inspect/merged-index.js';
import { diskOf } from '../inspect/partition-facts.js';
import type { Disk } from '../lib/disk.js';
import { humanSize } from '../lib/format-size.js';
import { quoted } from '../lib/printable.js';

/** Partitions that one message lists. */
const MOST_LISTED = 16;

/** Bytes of a disk, or of a part of it. */
export interface DiskBytes {
  readonly name: string;
  readonly size: number;
  /** Reads fewer bytes only at the end. @throws OverlaybdError if they cannot be read */
  readonly read: (offset: number, length: number) => Promise<Uint8Array>;
}

export interface OpenedDisk extends DiskBytes {
  /** @throws OverlaybdError NOT_FOUND, BAD_FORMAT, and what reading throws */
  partition(number: number): Promise<DiskBytes>;
  /** "a partition table (GPT) with 1 (1.0 MiB, "root"), 3 (5.8 MiB)"; null: there are no partitions that can be read. */
  partitions(): Promise<string | null>;
}

/**
 * @param layers that are no trees of files
 * @returns null if they are no disk that can be read, which `serve` explains
 * @throws OverlaybdError LIMIT, BAD_FORMAT
 */
export async function openedDisk(
  layers: readonly OpenedLayer[],
  name: string,
): Promise<OpenedDisk | null> {
  const stack = lsmtLayersOf(layers);
  const size = stack.length === layers.length ? virtualSizeOf(stack) : 0;
  const disk = diskOf(layers, size > 0 ? await mergedIndex(stack, size, name, throwProblem) : null);
  return disk && viewOf(disk, name);
}

function viewOf(disk: Disk, name: string): OpenedDisk {
  return {
    ...bytesOf(disk, name, 0, disk.size),
    partition: async (number) => {
      const { offset, size } = await partitionOf(disk, name, number);
      return bytesOf(disk, `${name} (partition ${number})`, offset, size);
    },
    partitions: () => partitionsText(disk, name),
  };
}

function bytesOf(disk: Disk, name: string, begin: number, size: number): DiskBytes {
  const read = (offset: number, length: number): Promise<Buffer> =>
    readDisk(disk, begin + offset, Math.max(0, Math.min(length, size - offset)));
  return { name, size, read };
}

async function partitionsText(disk: Disk, name: string): Promise<string | null> {
  // `inspect` says what is wrong with a table.
  const table = await partitionTableOf(disk, name).catch(() => null);
  if (!table || table.partitions.length === 0) return null;
  const { kind, partitions } = table;
  const listed = partitions.slice(0, MOST_LISTED).map(({ number, size, name: title, problem }) => {
    if (problem) return `${number} (cannot be used)`;
    return `${number} (${humanSize(size)}${title === '' ? '' : `, ${quoted(title)}`})`;
  });
  const left = partitions.length - listed.length;
  if (left > 0) listed.push(`${left} more`);
  return `a partition table (${kind.toUpperCase()}) with ${listed.join(', ')}`;
}
