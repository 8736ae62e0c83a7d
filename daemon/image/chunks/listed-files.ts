// From the paths of files in an image to chunks of its blobs: reads the file system of the disk, ext4, as far as these
// paths need it.

import type { ChunkFetcher } from '../../blob/cached-source.js';
import { OverlaybdError } from '../../errors.js';
import { Ext4 } from '../../ext4/file-system.js';
import { rangesOfPaths, type ListedRanges } from '../../ext4/listed-ranges.js';
import type { Ext4Device } from '../../ext4/metadata.js';
import type { TraceEntry } from '../../fetch/trace-file.js';
import { readLoaded } from '../../lib/loaded.js';
import { chunksOfRanges } from './range-chunks.js';
import { ReaderFactory } from '../disks/reader-factory.js';
import type { DiskSpec } from '../disks/spec.js';

export interface ListedChunks extends Omit<ListedRanges, 'ranges'> {
  /** Of the data of the files, in the order of the list. No chunk is there twice. */
  readonly entries: readonly TraceEntry[];
}

export interface ListedFilesOptions {
  /** Fetches the metadata that is read. */
  readonly fetcher: ChunkFetcher;
  /** Of files, and of chunks; what the list names after that is left out. */
  readonly maxBytes: number;
  /** Aborted before the descriptors of the disk are closed: from then on nothing is read. */
  readonly signal: AbortSignal;
}

/**
 * The chunks that hold the files of a list.
 * @param paths one character a byte; see listed-ranges.ts
 * @throws OverlaybdError UNSUPPORTED if the disk is not ext4, BAD_FORMAT, LIMIT, BUSY if the signal is aborted, what
 *   reading the disk throws
 */
export async function chunksOfPaths(
  paths: readonly string[],
  disk: DiskSpec,
  options: ListedFilesOptions,
): Promise<ListedChunks> {
  const { maxBytes } = options;
  const fs = await Ext4.open(deviceOf(disk, options));
  if (!fs) {
    const what = 'a list of paths is replayed for ext4 only, and this disk is not ext4';
    throw new OverlaybdError('UNSUPPORTED', what);
  }
  const { ranges, ...found } = await rangesOfPaths(fs, paths, maxBytes);
  return { ...found, entries: await chunksOfRanges(ranges, disk, maxBytes) };
}

function deviceOf(spec: DiskSpec, { fetcher, signal }: ListedFilesOptions): Ext4Device {
  const disk = new ReaderFactory(() => fetcher).disk(spec);
  return {
    name: 'disk',
    size: disk.size,
    read: async (offset, length) => {
      const bytes = new Uint8Array(length);
      const cursor = { hint: 0 };
      await readLoaded(disk, offset, length, () => {
        // Its descriptors may be other files by now.
        if (signal.aborted) throw new OverlaybdError('BUSY', 'the image is being closed');
        return disk.read(offset, length, bytes, 0, cursor);
      });
      return bytes;
    },
  };
}
