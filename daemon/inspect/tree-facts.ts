// What `inspect` knows about layers of files, and about the file system that is made of them: plain values. The names
// are the keys of its JSON (docs/json-output.md), so they stay. Prints nothing.

import { LAYOUT_VERSION } from '../erofs/superblock.js';
import type { TreeImage } from '../image/stack/tree-image.js';
import { hexOf } from '../lib/bytes.js';
import type { EntryType, LayerTree } from '../tree/layer-tree.js';

/** Entries of a layer as it lists them: what upper layers hide is among them. */
export interface TreeFacts {
  /** "tar" */
  readonly format: string;
  readonly files: number;
  /** Bytes of the files, with their holes. */
  readonly contentBytes: number;
  readonly directories: number;
  readonly symlinks: number;
  readonly hardLinks: number;
  /** Devices and pipes. */
  readonly nodes: number;
  /** Opaque directories too. */
  readonly whiteouts: number;
}

/** The file system that is made of all layers. */
export interface ErofsFacts {
  readonly layoutVersion: number;
  readonly uuid: string;
  readonly inodes: number;
  readonly metadataBytes: number;
  /** Extended attributes that are left out. */
  readonly droppedXattrs: number;
}

export function treeFacts(format: string, tree: LayerTree): TreeFacts {
  const counts = new Map<EntryType, number>();
  let contentBytes = 0;
  for (let i = 0; i < tree.count; i++) {
    const type = tree.typeOf(i);
    counts.set(type, (counts.get(type) ?? 0) + 1);
    contentBytes += tree.columns.sizes[i] as number;
  }
  const count = (...types: EntryType[]): number =>
    types.reduce((sum, type) => sum + (counts.get(type) ?? 0), 0);
  return {
    format,
    files: count('reg'),
    contentBytes,
    directories: count('dir'),
    symlinks: count('symlink'),
    hardLinks: count('hardlink'),
    nodes: count('char', 'block', 'fifo'),
    whiteouts: count('whiteout', 'opaque'),
  };
}

export function erofsFacts({ written }: TreeImage): ErofsFacts {
  const { uuid, inodes, metadata, dropped } = written;
  return {
    layoutVersion: LAYOUT_VERSION,
    uuid: hexOf(uuid).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'),
    inodes,
    metadataBytes: metadata.byteLength,
    droppedXattrs: dropped.count,
  };
}
