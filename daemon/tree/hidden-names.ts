// Names that the whiteouts of a layer have removed. An archive is unpacked entry by entry: a hard link that stands before a
// whiteout may have a target that the whiteout then removes.

import type { TreeUnderWay } from './under-way.js';

interface HiddenName {
  readonly inode: number;
  /** The entry of the layer that removes it. */
  readonly by: number;
}

/** Of one layer. */
export class HiddenNames {
  readonly #tree: TreeUnderWay;
  readonly #names = new Map<number, Map<string, HiddenName>>();

  constructor(tree: TreeUnderWay) {
    this.#tree = tree;
  }

  /** Removes a name. @param by the whiteout, an entry of the layer */
  hide(directory: number, name: string, by: number): void {
    const inode = this.#tree.lookup(directory, name);
    if (inode === undefined) return;
    this.#tree.remove(directory, name);
    this.#of(directory).set(name, { inode, by });
  }

  /** Removes all names of a directory. @param by the mark of the directory, an entry of the layer */
  hideAll(directory: number, by: number): void {
    const names = this.#of(directory);
    for (const [name, inode] of this.#tree.namesOf(directory)) names.set(name, { inode, by });
    this.#tree.clear(directory);
  }

  /** What had a name before an entry of the layer: what the entry and those after it remove counts. */
  lookupBefore(entry: number, directory: number, name: string): number | undefined {
    const hidden = this.#names.get(directory)?.get(name);
    if (hidden && hidden.by > entry) return hidden.inode;
    return this.#tree.lookup(directory, name);
  }

  get isEmpty(): boolean {
    return this.#names.size === 0;
  }

  #of(directory: number): Map<string, HiddenName> {
    let names = this.#names.get(directory);
    if (!names) {
      names = new Map();
      this.#names.set(directory, names);
    }
    return names;
  }
}
