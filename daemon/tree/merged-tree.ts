// The tree of an image: the directories and inodes that remain when all layers are merged. An inode does not copy its
// attributes: it names the entry of the layer that gives them.

import type { FileType } from './file-types.js';
import { ENTRY_TYPES, type LayerTree } from './layer-tree.js';
import { XattrSet } from './xattrs.js';

/** Instead of an entry: a directory that has files in some layer, but no entry in any. */
export const IMPLIED = -1;
/** Instead of an entry: a whiteout, in the tree of one layer alone. */
export const WHITEOUT_NODE = -2;

/**
 * In the names of xattrs: the mark of overlayfs on an opaque directory. No layer can have this name: those of overlayfs
 * that layers have are left out.
 */
export const OPAQUE_MARK = '\0opaque';

/** Names of xattrs with this prefix are left out: an overlayfs on top would act on them. */
export const OVERLAY_XATTRS = 'trusted.overlay.';

/** The number of the root. */
export const ROOT = 0;

const IMPLIED_MODE = 0o755;

/** The names in a directory; values are numbers of inodes. Not sorted. */
export type Directory = ReadonlyMap<string, number>;

export interface InodeColumns {
  /** Inodes, those included that no name leads to any more. */
  readonly count: number;
  /** Number of the layer that gives the attributes. */
  readonly layers: Uint8Array;
  /** Number of the entry in that layer, {@link IMPLIED} or {@link WHITEOUT_NODE}. */
  readonly entries: Int32Array;
  /** Names of the inode; of a directory 2 and its subdirectories; 0 if no name leads to it. */
  readonly nlinks: Uint32Array;
  /** Of directories; undefined for everything else. */
  readonly directories: readonly (Directory | undefined)[];
  /** Directories that hide what lower layers have in them: in the tree of one layer alone. */
  readonly opaque: ReadonlySet<number>;
}

export class MergedTree {
  /** Bottom first. */
  readonly layers: readonly LayerTree[];
  readonly inodes: InodeColumns;
  /** The sources of layer i have numbers from sourceBases[i] on; its last entry is the number of all sources. */
  readonly sourceBases: readonly number[];
  /** The xattrs of opaque directories. */
  readonly #opaqueSets = new Map<number, XattrSet>();

  constructor(layers: readonly LayerTree[], inodes: InodeColumns, sourceBases: readonly number[]) {
    this.layers = layers;
    this.inodes = inodes;
    this.sourceBases = sourceBases;
  }

  directoryOf(inode: number): Directory | undefined {
    return this.inodes.directories[inode];
  }

  layerOf(inode: number): LayerTree {
    return this.layers[this.inodes.layers[inode] as number] as LayerTree;
  }

  typeOf(inode: number): FileType {
    const entry = this.inodes.entries[inode] as number;
    if (entry === IMPLIED) return 'dir';
    if (entry === WHITEOUT_NODE) return 'char';
    return ENTRY_TYPES[this.layerOf(inode).columns.types[entry] as number] as FileType;
  }

  modeOf(inode: number): number {
    const entry = this.inodes.entries[inode] as number;
    if (entry >= 0) return this.layerOf(inode).columns.modes[entry] as number;
    return entry === IMPLIED ? IMPLIED_MODE : 0;
  }

  xattrsOf(inode: number): XattrSet | null {
    const entry = this.inodes.entries[inode] as number;
    const set = entry < 0 ? null : this.layerOf(inode).xattrsOf(entry);
    return this.inodes.opaque.has(inode) ? this.#marked(inode, set) : set;
  }

  #marked(inode: number, set: XattrSet | null): XattrSet {
    let marked = this.#opaqueSets.get(inode);
    if (!marked) {
      const y = Uint8Array.of(0x79);
      marked = new XattrSet([OPAQUE_MARK, ...(set?.names ?? [])], [y, ...(set?.values ?? [])]);
      this.#opaqueSets.set(inode, marked);
    }
    return marked;
  }
}
