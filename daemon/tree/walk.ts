// From a path to a directory of the tree, as containerd finds it when it unpacks a layer: symlinks in folders are
// followed, absolute ones from the root of the tree, and no way leads out of it.

import type { OverlaybdError } from '../errors.js';
import { quoted } from '../lib/printable.js';
import type { LayerTree } from './layer-tree.js';
import { MAX_KNOWN_BYTES, MAX_LINKS_FOLLOWED, MAX_LINK_STEPS, MAX_NAME_BYTES } from './limits.js';
import { IMPLIED, ROOT } from './merged-tree.js';
import { OwnPaths } from './own-paths.js';
import { NAME_BYTES, type TreeUnderWay } from './under-way.js';

/**
 * What happens where no directory is on the way.
 * - `make`: a directory is made, also instead of a lower layer's file; a file of the same layer is an error
 * - `make or stop`: a directory is made if nothing is there; null if something else is, or a symlink
 * - `find`: null; symlinks are followed
 * - `stop`: as `find`, and null at a symlink that this layer replaces
 */
export type Missing = 'make' | 'make or stop' | 'find' | 'stop';

/** Finds directories for one layer, and remembers the paths. */
export class PathWalker {
  readonly #tree: TreeUnderWay;
  readonly #layer: number;
  readonly #known = new Map<string, number>();
  /** Bytes of the heap that its paths take. */
  #knownBytes = 0;
  #ownPaths: OwnPaths | null = null;

  constructor(tree: TreeUnderWay, layer: number) {
    this.#tree = tree;
    this.#layer = layer;
  }

  /** Call it after a directory or a symlink was removed from the tree. */
  forget(): void {
    if (this.#known.size > 0) this.#known.clear();
    this.#knownBytes = 0;
  }

  /** To be called after the last entry of the layer. */
  end(): void {
    this.forget();
    if (!this.#ownPaths) return;
    this.#ownPaths = null;
    this.#tree.takeColumn(-OwnPaths.memoryFor(this.#tree.layers[this.#layer] as LayerTree));
  }

  /**
   * Finds a directory.
   * @param path clean
   * @param bad makes the error of the entry that is looked for
   */
  find(path: string, missing: Missing, bad: (text: string) => OverlaybdError): number | null {
    if (path === '') return ROOT;
    const known = this.#known.get(path);
    if (known !== undefined) return known;
    const found = this.#walk(path, missing, bad);
    if (found !== null) this.#keep(path, found);
    return found;
  }

  #keep(path: string, directory: number): void {
    this.#knownBytes += NAME_BYTES + path.length;
    // They are found again: most paths are those of neighbours.
    if (this.#knownBytes > MAX_KNOWN_BYTES) this.forget();
    this.#known.set(path, directory);
  }

  /**
   * Finds a directory as `find` does, among names that need not be in the tree any more. Nothing of it is remembered.
   * @param lookup what a name of a directory is
   */
  findAmong(
    path: string,
    lookup: (directory: number, name: string) => number | undefined,
    bad: (text: string) => OverlaybdError,
  ): number | null {
    return this.#walk(path, 'find', bad, lookup);
  }

  #walk(
    path: string,
    missing: Missing,
    bad: (text: string) => OverlaybdError,
    lookup = (directory: number, name: string): number | undefined =>
      this.#tree.lookup(directory, name),
  ): number | null {
    const tree = this.#tree;
    let way = path;
    let begin = 0;
    let at = ROOT;
    let followed = 0;
    while (begin < way.length) {
      const slash = way.indexOf('/', begin);
      const end = slash < 0 ? way.length : slash;
      const name = way.slice(begin, end);
      begin = end + 1;
      if (followed > 0) {
        if (++tree.linkSteps > MAX_LINK_STEPS) {
          throw bad(`more than ${MAX_LINK_STEPS} names on the ways of symlinks`);
        }
        if (name === '' || name === '.') continue;
        if (name === '..') {
          at = tree.parentOf(at);
          continue;
        }
      }
      const next = lookup(at, name);
      if (next !== undefined && tree.isDirectory(next)) {
        at = next;
        continue;
      }
      const target = next === undefined ? undefined : tree.symlinkOf(next);
      if (target !== undefined) {
        if (missing === 'make or stop') return null;
        if (missing === 'stop' && followed === 0 && this.#hasOwn(path.slice(0, end))) return null;
        if (++followed > MAX_LINKS_FOLLOWED) {
          throw bad(`more than ${MAX_LINKS_FOLLOWED} symlinks in its folders`);
        }
        way = `${target}/${way.slice(begin)}`;
        begin = 0;
        if (target.startsWith('/')) at = ROOT;
        continue;
      }
      if (missing === 'find' || missing === 'stop') return null;
      if (next !== undefined) {
        if (missing === 'make or stop') return null;
        // overlayfs shows the directory of the upper layer; in one layer, one of the two would be lost.
        if (followed > 0 || tree.layerOf(next) === this.#layer) {
          const text = quoted(Buffer.from(name, 'latin1').toString());
          throw bad(`${text} is a file in this layer, so nothing can be below it`);
        }
      }
      // Names of entries were checked, those in targets of symlinks were not.
      if (name.length > MAX_NAME_BYTES) {
        throw bad(`a symlink leads to a name of ${name.length} bytes, at most ${MAX_NAME_BYTES}`);
      }
      const made = tree.newInode(this.#layer, IMPLIED, at);
      tree.put(at, name, made);
      at = made;
    }
    return at;
  }

  /** Whether the layer has an entry of this path that is not a whiteout. */
  #hasOwn(path: string): boolean {
    if (!this.#ownPaths) {
      const layer = this.#tree.layers[this.#layer] as LayerTree;
      this.#tree.takeColumn(OwnPaths.memoryFor(layer));
      this.#ownPaths = new OwnPaths(layer);
    }
    return this.#ownPaths.has(path);
  }
}
