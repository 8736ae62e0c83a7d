// Names that the whiteouts of a layer have removed. An archive is unpacked entry by entry: a hard link that stands before a
// whiteout may have a target that the whiteout then removes.

import { DIRECTORY_BYTES, NAME_BYTES, type TreeUnderWay } from './under-way.js';

/** Heap for a hidden name: its place in a table, and an object. The name itself is counted already. */
const HIDDEN_BYTES = 2 * NAME_BYTES;

interface HiddenName {
  readonly inode: number;
  /** The entry of the layer that removes it. */
  readonly by: number;
}

/** The hidden names of one layer. */
export class HiddenNames {
  readonly #tree: TreeUnderWay;
  readonly #layer: number;
  readonly #names = new Map<number, Map<string, HiddenName>>();
  #heapBytes = 0;

  constructor(tree: TreeUnderWay, layer: number) {
    this.#tree = tree;
    this.#layer = layer;
  }

  /** Removes a name. @param by the whiteout, an entry of the layer. @throws OverlaybdError LIMIT */
  hide(directory: number, name: string, by: number): void {
    const inode = this.#tree.lookup(directory, name);
    if (inode === undefined) return;
    this.#keep(this.#of(directory), name, { inode, by });
    this.#tree.remove(directory, name);
  }

  /** Removes all names of a directory. @param by the mark of the directory, an entry of the layer. @throws OverlaybdError LIMIT */
  hideAll(directory: number, by: number): void {
    const names = this.#of(directory);
    for (const [name, inode] of this.#tree.namesOf(directory)) {
      this.#keep(names, name, { inode, by });
    }
    this.#tree.clear(directory);
  }

  /** The inode that had this name before `entry`, even if a later entry of the layer removes it. */
  lookupBefore(entry: number, directory: number, name: string): number | undefined {
    const hidden = this.#names.get(directory)?.get(name);
    if (hidden && this.#isAfter(hidden.by, entry)) return hidden.inode;
    return this.#tree.lookup(directory, name);
  }

  get isEmpty(): boolean {
    return this.#names.size === 0;
  }

  /** To be called after the last entry of the layer. */
  forget(): void {
    this.#names.clear();
    this.#tree.giveBack(this.#heapBytes);
    this.#heapBytes = 0;
  }

  /** In the archive: a table of contents may have its hard links after all other entries. */
  #isAfter(entry: number, other: number): boolean {
    const positions = this.#tree.layers[this.#layer]?.columns.positions;
    const [at = -1, otherAt = -1] = [positions?.[entry], positions?.[other]];
    return at === otherAt ? entry > other : at > otherAt;
  }

  #keep(names: Map<string, HiddenName>, name: string, hidden: HiddenName): void {
    this.#spend(HIDDEN_BYTES);
    names.set(name, hidden);
  }

  #spend(bytes: number): void {
    this.#tree.spend(this.#layer, bytes);
    this.#heapBytes += bytes;
  }

  #of(directory: number): Map<string, HiddenName> {
    let names = this.#names.get(directory);
    if (!names) {
      this.#spend(DIRECTORY_BYTES);
      names = new Map();
      this.#names.set(directory, names);
    }
    return names;
  }
}
