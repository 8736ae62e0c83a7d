// Descriptions of sources and disks that can be posted to a worker: plain values, descriptors
// and shared memory. reader-factory.ts turns them into readers again, one set a thread.

import type { FileSourceSpec } from '../blob/file-source.js';
import type { LsmtIndexData } from '../lsmt/merged-index.js';
import type { ZfileSpec } from '../zfile/reader.js';

/** How to make a blob source. */
export type SourceSpec =
  | FileSourceSpec
  | { readonly kind: 'zfile'; readonly zfile: ZfileSpec; readonly source: FileSourceSpec };

function fileOf(spec: SourceSpec): FileSourceSpec {
  return spec.kind === 'file' ? spec : spec.source;
}

/** The files that a disk is read from, by name; twice if it has one twice. */
export function filesOf(disk: DiskSpec): FileSourceSpec[] {
  switch (disk.kind) {
    case 'lsmt':
      return disk.layers.map(fileOf);
    case 'raw':
      return [fileOf(disk.source)];
    case 'partition':
      return filesOf(disk.disk);
  }
}

/** How to make a disk. */
export type DiskSpec =
  | {
      readonly kind: 'lsmt';
      readonly index: LsmtIndexData;
      /** One a layer, bottom first: where segments of that layer have their data. */
      readonly layers: readonly SourceSpec[];
    }
  | {
      /** A raw disk image, or a ZFile of one. */
      readonly kind: 'raw';
      readonly source: SourceSpec;
    }
  | {
      readonly kind: 'partition';
      readonly disk: DiskSpec;
      /** Bytes from the beginning of the disk; the range lies within it. */
      readonly offset: number;
      readonly size: number;
    };
