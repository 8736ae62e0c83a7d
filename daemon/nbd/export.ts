// An export, which is a disk with a name. This folder knows nothing of images.

import type { Disk } from '../lib/disk.js';
import type { ReadWaits } from './read-waits.js';

/** One read-only export. */
export interface NbdExport {
  readonly name: string;
  /** One line for people. */
  readonly description: string;
  readonly disk: Disk;
  readonly blockSizes: BlockSizes;
  /** Where the waits of its reads are counted, if anywhere. */
  readonly waits?: ReadWaits;
}

/** Sizes in bytes for NBD_INFO_BLOCK_SIZE. Requests need not follow them. */
export interface BlockSizes {
  readonly minimum: number;
  readonly preferred: number;
}

/** Requests may begin and end at any byte. With a larger minimum, clients would not send such requests. */
export const BLOCK_SIZES: BlockSizes = { minimum: 1, preferred: 4096 };

/** Finds exports by the name in a client's request. */
export interface ExportTable {
  /** @returns undefined if there is no such export */
  find(name: string): NbdExport | undefined;
  /** The code of the error that prevents an export from being served; undefined if there is none. */
  failure?(name: string): string | undefined;
  list(): Iterable<NbdExport>;
}
