// Merges the trees of layers into the tree of the image, bottom first. Of each layer, first its whiteouts hide what
// lower layers have, wherever they stand in the archive; then its entries are added, in their order.

import { OverlaybdError } from '../errors.js';
import { counted } from '../lib/counted.js';
import type { TableEffort } from '../lib/counted-columns.js';
import { MAX_TREE_HEAP } from '../lib/heap-budget.js';
import { entryError } from './entry-error.js';
import { HiddenNames } from './hidden-names.js';
import type { LayerTree } from './layer-tree.js';
import { MAX_IMAGE_BYTES, MAX_IMAGE_ENTRIES, MAX_IMAGE_RANGES, MAX_SOURCES } from './limits.js';
import { ROOT, MergedTree, WHITEOUT_NODE } from './merged-tree.js';
import { nameOf, parentOf, shownPath } from './names.js';
import { TreeUnderWay } from './under-way.js';
import { PathWalker, type Missing } from './walk.js';

/**
 * @param layers those that are open so far
 * @throws OverlaybdError LIMIT if they are too much for one image
 */
export function checkLayers(layers: readonly LayerTree[], name: string): void {
  const entries = layers.reduce((sum, { count }) => sum + count, 0);
  const bytes = layers.reduce((sum, { columns }) => sum + columns.bytes, 0);
  const heap = layers.reduce((sum, { heapBytes }) => sum + heapBytes, 0);
  const ranges = layers.reduce((sum, { ranges: ofLayer }) => sum + ofLayer, 0);
  if (heap > MAX_TREE_HEAP) {
    const text = `${name}: devices and different sets of extended attributes in its lowest ${counted(layers.length, 'layer')} take ${heap} bytes of memory, at most ${MAX_TREE_HEAP}`;
    throw new OverlaybdError('LIMIT', text);
  }
  if (ranges > MAX_IMAGE_RANGES) {
    const text = `${name}: ${ranges} ranges of data in its lowest ${counted(layers.length, 'layer')}, at most ${MAX_IMAGE_RANGES}`;
    throw new OverlaybdError('LIMIT', text);
  }
  if (entries <= MAX_IMAGE_ENTRIES && bytes <= MAX_IMAGE_BYTES) return;
  const message = `${name}: ${entries} files with names of ${bytes} bytes in its lowest ${counted(layers.length, 'layer')}, at most ${MAX_IMAGE_ENTRIES} and ${MAX_IMAGE_BYTES}`;
  throw new OverlaybdError('LIMIT', message);
}

/**
 * Merges layers.
 * @param layers bottom first, at most 255
 * @param effort announces the memory of columns; absent: nothing counts it
 * @throws OverlaybdError BAD_FORMAT for an entry that has no place, LIMIT
 */
export function mergeLayers(layers: readonly LayerTree[], effort?: TableEffort): MergedTree {
  const tree = new TreeUnderWay(layers, effort);
  for (let layer = 0; layer < layers.length; layer++) {
    const merger = new LayerMerger(tree, layer);
    merger.hide();
    merger.addEntries();
    merger.end();
  }
  return new MergedTree(layers, tree.finish(), sourceBasesOf(layers));
}

/**
 * The tree of one layer alone, as overlayfs wants it: a whiteout is a character device 0:0, and an opaque directory
 * is marked. What symlinks of other layers lead to is not known.
 * @throws OverlaybdError as mergeLayers()
 */
export function layerAlone(layer: LayerTree, effort?: TableEffort): MergedTree {
  const layers = [layer];
  const tree = new TreeUnderWay(layers, effort);
  const merger = new LayerMerger(tree, 0);
  merger.addEntries();
  merger.showWhiteouts();
  return new MergedTree(layers, tree.finish(), sourceBasesOf(layers));
}

/** @throws OverlaybdError LIMIT */
function sourceBasesOf(layers: readonly LayerTree[]): number[] {
  const bases = [0];
  for (const { sourceCount } of layers) bases.push((bases.at(-1) as number) + sourceCount);
  const count = bases.at(-1) as number;
  if (count > MAX_SOURCES) {
    const name = layers[0]?.name ?? 'image';
    const message = `${name}: ${count} content sources in all layers, at most ${MAX_SOURCES}`;
    throw new OverlaybdError('LIMIT', message);
  }
  return bases;
}

class LayerMerger {
  readonly #tree: TreeUnderWay;
  readonly #number: number;
  readonly #layer: LayerTree;
  readonly #walker: PathWalker;
  readonly #hidden: HiddenNames;
  /** The entry whose folder was found last, and that directory; null: what was found may be another one now. */
  #last = 0;
  #lastFolder: number | null = null;

  constructor(tree: TreeUnderWay, number: number) {
    this.#tree = tree;
    this.#number = number;
    this.#layer = tree.layers[number] as LayerTree;
    this.#walker = new PathWalker(tree, number);
    this.#hidden = new HiddenNames(tree, number);
  }

  /** Hides what this layer's whiteouts name. Nothing of the layer itself is in the tree yet. */
  hide(): void {
    for (let i = 0; i < this.#layer.count; i++) {
      const type = this.#layer.typeOf(i);
      if (type !== 'whiteout' && type !== 'opaque') continue;
      const path = this.#layer.pathOf(i);
      const folder = type === 'opaque' ? path : parentOf(path);
      const directory = this.#folder(i, folder, 'stop');
      // Nothing of lower layers is there: "umoci repack" writes whiteouts below a file that replaces a directory.
      if (directory === null) continue;
      if (type === 'opaque') this.#hidden.hideAll(directory, i);
      else this.#hidden.hide(directory, this.#layer.nameOf(i), i);
      this.#forget();
    }
  }

  addEntries(): void {
    for (let i = 0; i < this.#layer.count; i++) {
      const type = this.#layer.typeOf(i);
      if (type === 'hardlink') this.#link(i);
      else if (type !== 'whiteout' && type !== 'opaque') this.#add(i, type === 'dir');
    }
  }

  /** Gives back what only this layer needs. */
  end(): void {
    this.#hidden.forget();
    this.#forget();
    this.#walker.end();
  }

  showWhiteouts(): void {
    const tree = this.#tree;
    this.#forget();
    const firstMade = tree.count;
    for (let i = 0; i < this.#layer.count; i++) {
      const type = this.#layer.typeOf(i);
      if (type !== 'whiteout' && type !== 'opaque') continue;
      const path = this.#layer.pathOf(i);
      const directory = this.#folder(i, type === 'opaque' ? path : parentOf(path), 'make or stop');
      if (directory === null) continue;
      if (type === 'opaque') tree.opaque.add(directory);
      else this.#showWhiteout(directory, this.#layer.nameOf(i), firstMade);
    }
  }

  /** @param firstMade inodes from it on are there only because whiteouts are */
  #showWhiteout(directory: number, name: string, firstMade: number): void {
    const tree = this.#tree;
    const there = tree.lookup(directory, name);
    const isDirectory = there !== undefined && tree.isDirectory(there);
    if (there === undefined || (isDirectory && there >= firstMade)) {
      this.#place(directory, name, there, tree.newInode(this.#number, WHITEOUT_NODE, directory));
    } else if (isDirectory) {
      // An overlayfs merges a directory with lower ones of its name, which the whiteout hides.
      tree.opaque.add(there);
    }
  }

  #add(i: number, isDirectory: boolean): void {
    const tree = this.#tree;
    if (this.#layer.columns.paths.isEmpty(i)) {
      if (isDirectory) tree.setEntry(ROOT, this.#number, i);
      else throw this.#bad(i, 'the root is not a directory');
      return;
    }
    const directory = this.#folderOf(i);
    const name = this.#layer.nameOf(i);
    const there = tree.lookup(directory, name);
    if (there !== undefined && isDirectory && tree.isDirectory(there)) {
      tree.setEntry(there, this.#number, i);
      return;
    }
    this.#place(directory, name, there, tree.newInode(this.#number, i, directory));
  }

  #link(i: number): void {
    const tree = this.#tree;
    const target = this.#layer.targetOf(i);
    const found = this.#targetOf(i, target) ?? this.#hiddenTargetOf(i, target);
    if (found === undefined) {
      const where =
        this.#number === 0 ? 'which is not there' : 'which neither it nor a lower layer has';
      throw this.#bad(i, `a hard link to ${shownPath(target)}, ${where}`);
    }
    if (tree.isDirectory(found)) {
      throw this.#bad(i, `a hard link to ${shownPath(target)}, which is a directory`);
    }
    if (this.#layer.columns.paths.isEmpty(i)) throw this.#bad(i, 'the root is not a directory');
    const directory = this.#folderOf(i);
    const name = this.#layer.nameOf(i);
    const there = tree.lookup(directory, name);
    if (there !== found) this.#place(directory, name, there, found);
  }

  #targetOf(i: number, target: string): number | undefined {
    if (target === '') return ROOT;
    const directory = this.#folder(i, parentOf(target), 'find');
    return directory === null ? undefined : this.#tree.lookup(directory, nameOf(target));
  }

  /** A file of a lower layer that a whiteout hides which stands after the link. */
  #hiddenTargetOf(i: number, target: string): number | undefined {
    const hidden = this.#hidden;
    if (hidden.isEmpty) return undefined;
    const lookup = hidden.lookupBefore.bind(hidden, i);
    const bad = (text: string): OverlaybdError => this.#bad(i, text);
    const directory = this.#walker.findAmong(parentOf(target), lookup, bad);
    return directory === null ? undefined : lookup(directory, nameOf(target));
  }

  #place(directory: number, name: string, there: number | undefined, inode: number): void {
    const tree = this.#tree;
    // Only directories and symlinks are part of the ways that the walker knows.
    if (there !== undefined && !tree.isPlain(there)) this.#forget();
    tree.put(directory, name, inode);
  }

  #forget(): void {
    this.#walker.forget();
    this.#lastFolder = null;
  }

  /** The directory that an entry is in. Most entries follow one of the same folder, so that no text of it is made. */
  #folderOf(i: number): number {
    const { paths } = this.#layer.columns;
    if (this.#lastFolder === null || !paths.sharesFolder(i, this.#last)) {
      this.#lastFolder = this.#folder(i, paths.folderAt(i), 'make') as number;
    }
    this.#last = i;
    return this.#lastFolder;
  }

  #folder(i: number, path: string, missing: Missing): number | null {
    return this.#walker.find(path, missing, (text) => this.#bad(i, text));
  }

  #bad(i: number, text: string): OverlaybdError {
    const { columns, name } = this.#layer;
    const position = columns.positions[i] as number;
    return entryError('BAD_FORMAT', name, { path: this.#layer.pathOf(i), position }, text);
  }
}
