// What the NBD server serves: a disk under a name, so that this folder knows no images.

import type { Disk } from '../lib/disk.js';

/** One read-only export. */
export interface NbdExport {
  readonly name: string;
  /** One line for people. */
  readonly description: string;
  readonly disk: Disk;
  readonly blockSizes: BlockSizes;
}

/** Sizes in bytes as NBD_INFO_BLOCK_SIZE tells them; requests need not keep to them. */
export interface BlockSizes {
  readonly minimum: number;
  readonly preferred: number;
}

/** Requests may begin and end anywhere; with a larger minimum, clients would not send such requests. */
export const BLOCK_SIZES: BlockSizes = { minimum: 1, preferred: 4096 };

/** Finds exports by the name that a client asks for. */
export interface ExportTable {
  /** @returns undefined when there is none of that name */
  find(name: string): NbdExport | undefined;
  /** The code of what keeps an export of that name from being served; undefined when nothing does. */
  failure?(name: string): string | undefined;
  list(): Iterable<NbdExport>;
}
