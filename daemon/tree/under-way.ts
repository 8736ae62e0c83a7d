// The tree of an image while layers are added to it: inodes in columns, one map a directory.

import { OverlaybdError } from '../errors.js';
import { CountedColumns, type TableEffort } from '../lib/counted-columns.js';
import { UNBOUNDED } from '../lib/effort.js';
import { MAX_TREE_HEAP } from '../lib/heap-budget.js';
import type { LayerTree } from './layer-tree.js';
import { MAX_DEPTH, MAX_TREE_INODES } from './limits.js';
import { IMPLIED, ROOT, type InodeColumns } from './merged-tree.js';

/** Heap for an empty directory, and for a name without its characters: a place in a table, and an object. */
export const DIRECTORY_BYTES = 320;
export const NAME_BYTES = 56;

export class TreeUnderWay {
  readonly layers: readonly LayerTree[];
  readonly opaque = new Set<number>();
  /** Names looked up on the ways of symlinks so far. */
  linkSteps = 0;
  /** Bytes of the heap that directories, names and layers take. */
  #heapBytes = 0;
  readonly #mostHeapBytes: number;
  readonly #columns: CountedColumns;
  readonly #directories: (Map<string, number> | undefined)[] = [];
  #count = 0;
  #layers = new Uint8Array(1024);
  #entries = new Int32Array(1024);
  /** Of directories only: each has one name. */
  #parents = new Uint32Array(1024);
  #depths = new Uint16Array(1024);

  /**
   * Makes the root: as an implied directory, until a layer has an entry for it.
   * @param effort announces the memory of columns
   * @param mostHeapBytes what directories and names may take; tests set it
   */
  constructor(
    layers: readonly LayerTree[],
    effort: TableEffort = UNBOUNDED,
    mostHeapBytes = MAX_TREE_HEAP,
  ) {
    this.layers = layers;
    this.#columns = new CountedColumns(layers.at(-1)?.name ?? 'image', effort);
    this.#mostHeapBytes = mostHeapBytes;
    // They are there as long as it is.
    for (const layer of layers) this.#heapBytes += layer.heapBytes;
    this.newInode(0, IMPLIED, ROOT);
    this.#depths[ROOT] = 0;
  }

  /**
   * Makes an inode that has no name yet.
   * @param entry of the layer, or IMPLIED or WHITEOUT_NODE
   * @param parent the directory that it will be in
   * @throws OverlaybdError LIMIT
   */
  newInode(layer: number, entry: number, parent: number): number {
    const inode = this.#count;
    if (inode === MAX_TREE_INODES) {
      throw this.#limit(layer, `more than ${MAX_TREE_INODES} files and directories in all layers`);
    }
    if (inode >= this.#layers.length) this.#grow(inode);
    this.#layers[inode] = layer;
    this.#entries[inode] = entry;
    this.#count = inode + 1;
    const isDirectory = entry === IMPLIED || (entry >= 0 && this.#typeOf(layer, entry) === 'dir');
    if (isDirectory) {
      const depth = (this.#depths[parent] as number) + 1;
      if (depth > MAX_DEPTH) throw this.#limit(layer, `directories deeper than ${MAX_DEPTH}`);
      this.spend(layer, DIRECTORY_BYTES);
      this.#directories[inode] = new Map();
      this.#parents[inode] = parent;
      this.#depths[inode] = depth;
    } else this.#directories[inode] = undefined;
    return inode;
  }

  /** Inodes so far. */
  get count(): number {
    return this.#count;
  }

  /** Gives an inode the attributes of an entry. */
  setEntry(inode: number, layer: number, entry: number): void {
    this.#layers[inode] = layer;
    this.#entries[inode] = entry;
  }

  lookup(directory: number, name: string): number | undefined {
    return this.#directories[directory]?.get(name);
  }

  /** Gives an inode a name. What had this name before has one name less. */
  put(directory: number, name: string, inode: number): void {
    this.spend(this.#layers[inode] as number, NAME_BYTES + name.length);
    this.#directories[directory]?.set(name, inode);
  }

  remove(directory: number, name: string): void {
    this.#directories[directory]?.delete(name);
  }

  namesOf(directory: number): Iterable<[name: string, inode: number]> {
    return this.#directories[directory] ?? [];
  }

  clear(directory: number): void {
    this.#directories[directory]?.clear();
  }

  isDirectory(inode: number): boolean {
    return this.#directories[inode] !== undefined;
  }

  /** The target of a symlink; undefined for everything else. */
  symlinkOf(inode: number): string | undefined {
    const entry = this.#entries[inode] as number;
    const layer = this.#layers[inode] as number;
    if (entry < 0 || this.#typeOf(layer, entry) !== 'symlink') return undefined;
    return this.layers[layer]?.targetOf(entry);
  }

  /** Whether it is neither a directory nor a symlink. */
  isPlain(inode: number): boolean {
    return !this.isDirectory(inode) && this.symlinkOf(inode) === undefined;
  }

  parentOf(directory: number): number {
    return this.#parents[directory] as number;
  }

  /** The layer that gives the attributes. */
  layerOf(inode: number): number {
    return this.#layers[inode] as number;
  }

  /** Counts the names that lead to each inode. The tree must not change any more. @throws OverlaybdError LIMIT */
  finish(): InodeColumns {
    const count = this.#count;
    this.takeColumn(Uint32Array.BYTES_PER_ELEMENT * count);
    const nlinks = new Uint32Array(count);
    nlinks[ROOT] = 2;
    const open = [ROOT];
    for (let directory = open.pop(); directory !== undefined; directory = open.pop()) {
      for (const inode of (this.#directories[directory] as Map<string, number>).values()) {
        if (this.isDirectory(inode)) {
          nlinks[inode] = 2;
          nlinks[directory] = (nlinks[directory] as number) + 1;
          open.push(inode);
        } else nlinks[inode] = (nlinks[inode] as number) + 1;
      }
    }
    return {
      count,
      layers: this.#layers,
      entries: this.#entries,
      nlinks,
      directories: this.#directories,
      opaque: this.opaque,
    };
  }

  /**
   * To be called before something is kept on the heap while layers are merged.
   * @param layer for the error
   * @throws OverlaybdError LIMIT
   */
  spend(layer: number, bytes: number): void {
    this.#heapBytes += bytes;
    if (this.#heapBytes <= this.#mostHeapBytes) return;
    const text = `its directories and names take more than ${this.#mostHeapBytes} bytes of memory: ${this.#count} files and directories so far`;
    throw this.#limit(layer, text);
  }

  /**
   * To be called before a column is made while layers are merged.
   * @param bytes below 0: it is free again
   * @throws OverlaybdError LIMIT
   */
  takeColumn(bytes: number): void {
    this.#columns.take(bytes);
  }

  /** What was spent is kept no longer. */
  giveBack(bytes: number): void {
    this.#heapBytes -= bytes;
  }

  #typeOf(layer: number, entry: number): string {
    return (this.layers[layer] as LayerTree).typeOf(entry);
  }

  #grow(inode: number): void {
    this.#layers = this.#columns.grown(this.#layers, inode);
    this.#entries = this.#columns.grown(this.#entries, inode);
    this.#parents = this.#columns.grown(this.#parents, inode);
    this.#depths = this.#columns.grown(this.#depths, inode);
  }

  #limit(layer: number, text: string): OverlaybdError {
    return new OverlaybdError('LIMIT', `${this.layers[layer]?.name ?? 'image'}: ${text}`);
  }
}
