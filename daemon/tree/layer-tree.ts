// The tree of one layer as its archive or table of contents gives it: entries in their order, whiteouts among them.
// Columns instead of objects: a layer may have a million entries.

import type { LinkTargets } from './link-targets.js';
import type { TextColumn } from './text-column.js';
import type { XattrSet } from './xattrs.js';

/**
 * The types of entries. A `whiteout` hides the entry of its path in lower layers, an `opaque` hides everything
 * that lower layers have in the directory of its path.
 */
export const ENTRY_TYPES = [
  'reg',
  'dir',
  'symlink',
  'char',
  'block',
  'fifo',
  'hardlink',
  'whiteout',
  'opaque',
] as const;

export type EntryType = (typeof ENTRY_TYPES)[number];

/** Bytes of a file that a content source of the layer holds. */
export interface DataRange {
  /** Where they are in the file: a multiple of 512. */
  readonly fileOffset: number;
  /** Bytes: a multiple of 512, except at the end of the file. */
  readonly length: number;
  /** Number of the layer's content source: usually 0. */
  readonly source: number;
  /**
   * Where they begin in the source: a multiple of 512. The source must be readable up to the next multiple of
   * 512 after their end.
   */
  readonly offset: number;
}

export interface DeviceNumber {
  readonly major: number;
  readonly minor: number;
}

/** LSMT's unit, in which devices are mapped. */
export const SECTOR = 512;

/** One entry. Texts are byte strings: one character a byte ("latin1"). */
export interface TreeEntry {
  /** Clean: see cleanPath(). '' is the root. */
  readonly path: string;
  readonly type: EntryType;
  /** Permission bits: 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since 1970; may be negative. */
  readonly mtime: number;
  /** Nanoseconds after `mtime`: 0 to 999,999,999. */
  readonly mtimeNs: number;
  /** Bytes of a regular file; 0 otherwise. */
  readonly size: number;
  /** Of a symlink: as it is stored. Of a hard link: a clean path. '' otherwise. */
  readonly target: string;
  /** Of device nodes. */
  readonly rdev: DeviceNumber | null;
  /** By full name. */
  readonly xattrs: ReadonlyMap<string, Uint8Array> | null;
  /** Of a regular file, in its order and without overlap. What lies between them is a hole: zeros. */
  readonly data: readonly DataRange[];
  /** Byte offset of the entry in its archive or table, for messages. */
  readonly position: number;
}

/** Heap for a device: a place in a table. */
export const DEVICE_BYTES = 56;

/** What LayerTreeBuilder collects; see there. Lists that few entries have a part in are maps by entry. */
export interface LayerColumns {
  readonly count: number;
  /** Of all paths, link targets and sets of xattrs. */
  readonly bytes: number;
  readonly paths: TextColumn;
  /** Index in {@link ENTRY_TYPES}. */
  readonly types: Uint8Array;
  readonly modes: Uint16Array;
  readonly uids: Uint32Array;
  readonly gids: Uint32Array;
  readonly mtimes: Float64Array;
  readonly nanoseconds: Uint32Array;
  readonly sizes: Float64Array;
  /** major << 20 | minor */
  readonly rdevs: ReadonlyMap<number, number>;
  readonly targets: LinkTargets;
  /** Number of the set in `xattrSets`, plus 1; 0 is none. */
  readonly xattrs: Uint32Array;
  readonly xattrSets: readonly XattrSet[];
  readonly positions: Float64Array;
  /** The ranges of entry i are those from rangeStarts[i] to rangeStarts[i + 1]. */
  readonly rangeStarts: Uint32Array;
  readonly rangeFileOffsets: Float64Array;
  readonly rangeLengths: Float64Array;
  readonly rangeSources: Uint8Array;
  readonly rangeOffsets: Float64Array;
}

/** The entries of one layer, immutable. LayerTreeBuilder makes it. */
export class LayerTree {
  /** The layer's blob, for messages. */
  readonly name: string;
  readonly columns: LayerColumns;
  /** Content sources that the ranges name: 0 to sourceCount - 1. */
  readonly sourceCount: number;
  #heapBytes: number | null = null;

  constructor(name: string, columns: LayerColumns, sourceCount: number) {
    this.name = name;
    this.columns = columns;
    this.sourceCount = sourceCount;
  }

  /** Bytes of the heap that it takes; columns are not on the heap. */
  get heapBytes(): number {
    const { rdevs, xattrSets } = this.columns;
    this.#heapBytes ??= xattrSets.reduce(
      (sum, set) => sum + set.heapBytes,
      DEVICE_BYTES * rdevs.size,
    );
    return this.#heapBytes;
  }

  /** Bytes of memory that its columns take: they may have room for more numbers. */
  get columnBytes(): number {
    const { paths, targets, ...columns } = this.columns;
    let sum = paths.memory + targets.memory;
    for (const each of Object.values(columns)) if (ArrayBuffer.isView(each)) sum += each.byteLength;
    return sum;
  }

  get count(): number {
    return this.columns.count;
  }

  /** How many ranges of data there are. */
  get ranges(): number {
    return this.columns.rangeStarts[this.count] as number;
  }

  pathOf(i: number): string {
    return this.columns.paths.at(i);
  }

  /** The last component of its path; '' for the root. */
  nameOf(i: number): string {
    return this.columns.paths.nameAt(i);
  }

  typeOf(i: number): EntryType {
    return ENTRY_TYPES[this.columns.types[i] as number] as EntryType;
  }

  targetOf(i: number): string {
    return this.columns.targets.get(i) ?? '';
  }

  xattrsOf(i: number): XattrSet | null {
    const set = this.columns.xattrs[i] as number;
    return set === 0 ? null : (this.columns.xattrSets[set - 1] as XattrSet);
  }

  /** The end of the last byte that ranges name in a source; 0 if there is none. */
  sourceEnd(source: number): number {
    const { rangeStarts, rangeSources, rangeOffsets, rangeLengths, count } = this.columns;
    const ranges = rangeStarts[count] as number;
    let end = 0;
    for (let r = 0; r < ranges; r++) {
      if (rangeSources[r] !== source) continue;
      end = Math.max(end, (rangeOffsets[r] as number) + (rangeLengths[r] as number));
    }
    return end;
  }

  /** The entry whose data have this byte of a source; -1 if none has. Looks at all of them. */
  entryAt(source: number, offset: number): number {
    const { rangeStarts, rangeSources, rangeOffsets, rangeLengths, count } = this.columns;
    for (let i = 0; i < count; i++) {
      const end = rangeStarts[i + 1] as number;
      for (let r = rangeStarts[i] as number; r < end; r++) {
        const within = offset - (rangeOffsets[r] as number);
        if (rangeSources[r] === source && within >= 0 && within < (rangeLengths[r] as number)) {
          return i;
        }
      }
    }
    return -1;
  }

  /** Makes an object: for the few callers that want one entry. */
  entry(i: number): TreeEntry {
    const { columns } = this;
    const rdev = columns.rdevs.get(i);
    return {
      path: this.pathOf(i),
      type: this.typeOf(i),
      mode: columns.modes[i] as number,
      uid: columns.uids[i] as number,
      gid: columns.gids[i] as number,
      mtime: columns.mtimes[i] as number,
      mtimeNs: columns.nanoseconds[i] as number,
      size: columns.sizes[i] as number,
      target: this.targetOf(i),
      rdev: rdev === undefined ? null : { major: rdev >>> 20, minor: rdev & 0xf_ffff },
      xattrs: this.xattrsOf(i)?.toMap() ?? null,
      data: this.#rangesOf(i),
      position: columns.positions[i] as number,
    };
  }

  #rangesOf(i: number): DataRange[] {
    const { columns } = this;
    const ranges: DataRange[] = [];
    const end = columns.rangeStarts[i + 1] as number;
    for (let r = columns.rangeStarts[i] as number; r < end; r++) {
      ranges.push({
        fileOffset: columns.rangeFileOffsets[r] as number,
        length: columns.rangeLengths[r] as number,
        source: columns.rangeSources[r] as number,
        offset: columns.rangeOffsets[r] as number,
      });
    }
    return ranges;
  }
}
