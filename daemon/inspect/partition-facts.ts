// What `inspect` knows about the partitions of an image. The names are the keys of its JSON
// (docs/json-output.md), so they stay. Prints nothing.

import { OverlaybdError, formatError } from '../errors.js';
import { partitionTableOf } from '../image/disks/disk-partitions.js';
import { LsmtDisk } from '../image/disks/lsmt-disk.js';
import { RawDisk } from '../image/disks/raw-disk.js';
import type { Disk } from '../lib/disk.js';
import type { LsmtIndex } from '../lsmt/merged-index.js';
import { targetsOf, type OpenedLayer } from '../image/stack/open-stack.js';

export interface PartitionFacts {
  readonly table: 'gpt' | 'mbr';
  readonly sectorSize: number;
  readonly partitions: readonly {
    /** As in `serve --partition`, and in /dev/nbd0pN. */
    readonly number: number;
    readonly offset: number;
    readonly bytes: number;
    /** Of an MBR a byte, of a GPT a GUID. */
    readonly type: string;
    readonly name: string;
    /** Why it cannot be used; null when it can. */
    readonly problem: string | null;
  }[];
}

/**
 * @param index of a stack of layers; null when it is none, or cannot be read
 * @param notes gets what is wrong with the table
 */
export async function partitionFacts(
  name: string,
  layers: readonly OpenedLayer[],
  index: LsmtIndex | null,
  notes: string[],
): Promise<PartitionFacts | null> {
  const device = diskOf(layers, index);
  if (!device) return null;
  try {
    const found = await partitionTableOf(device, name);
    if (!found) return null;
    notes.push(...found.notes);
    const partitions = found.partitions.map(
      ({ number, offset, size, type, name: title, problem }) => {
        const text = problem && formatError(problem).message;
        return { number, offset, bytes: size, type, name: title, problem: text };
      },
    );
    return { table: found.kind, sectorSize: found.sectorSize, partitions };
  } catch (error) {
    // The layers are good at this point, and a broken partition table is not an error of the image.
    if (!(error instanceof OverlaybdError)) throw error;
    notes.push(`partitions: ${error.message}`);
    return null;
  }
}

/** @param index as of {@link partitionFacts} @returns null if the layers are no disk that can be read */
export function diskOf(layers: readonly OpenedLayer[], index: LsmtIndex | null): Disk | null {
  const sources = layers.map(({ inner }) => inner.source);
  if (index) {
    return new LsmtDisk(index, [...sources, ...targetsOf(layers).map(({ source }) => source)]);
  }
  const [source] = sources;
  return layers[0]?.content.kind === 'raw' && source ? new RawDisk(source) : null;
}
