// The order of inodes in the metadata, which is a part of the layout: breadth first. The entries of a directory follow
// each other, first its files by name and then its subdirectories by name, so that listing it reads few blocks.

import { uncountedColumns, type CountedColumns } from '../lib/counted-columns.js';
import type { MergedTree } from '../tree/merged-tree.js';
import { ROOT } from '../tree/merged-tree.js';

export interface InodeOrder {
  /** Inodes, the root first; each once. */
  readonly inodes: Uint32Array;
  /** By inode: its place in `inodes`, plus 1; 0 if no name leads to it. */
  readonly places: Uint32Array;
  /** The names in each directory, `.` and `..` too, in the order of their bytes; by the directory's inode. */
  readonly names: readonly (readonly string[] | undefined)[];
  /** Of directories: by inode. The root is its own. */
  readonly parents: Uint32Array;
  /** The inodes of all names, directory by directory in the order of `inodes`. */
  readonly children: Uint32Array;
  /** By the directory's inode: where its names begin in `children`. */
  readonly firstChildren: Uint32Array;
}

/** Columns of 4 bytes for each inode, `children` among them. */
const INODE_BYTES = 5 * 4;

/**
 * @param columns announces their memory
 * @throws OverlaybdError LIMIT
 */
export function orderInodes(
  tree: MergedTree,
  columns: CountedColumns = uncountedColumns(),
): InodeOrder {
  const { count } = tree.inodes;
  columns.take(INODE_BYTES * count);
  const inodes = new Uint32Array(count);
  const places = new Uint32Array(count);
  const parents = new Uint32Array(count);
  const firstChildren = new Uint32Array(count);
  const names: (readonly string[] | undefined)[] = [];
  let children = new Uint32Array(count);
  let listed = 0;
  let placed = 0;
  const place = (inode: number): void => {
    if (places[inode] !== 0) return;
    inodes[placed++] = inode;
    places[inode] = placed;
  };
  place(ROOT);
  // Those that are placed and not listed yet are ahead of `at`.
  for (let at = 0; at < placed; at++) {
    const inode = inodes[at] as number;
    const directory = tree.directoryOf(inode);
    if (!directory) continue;
    const sorted = [...directory.keys(), '.', '..'].toSorted();
    names[inode] = sorted;
    const below: number[] = [];
    firstChildren[inode] = listed;
    children = columns.grown(children, listed + sorted.length);
    for (const name of sorted) {
      const child = directory.get(name);
      children[listed++] = child ?? (name === '.' ? inode : (parents[inode] as number));
      if (child === undefined) continue;
      if (tree.directoryOf(child)) below.push(child);
      else place(child);
    }
    for (const child of below) {
      parents[child] = inode;
      place(child);
    }
  }
  const placedInodes = inodes.subarray(0, placed);
  return { inodes: placedInodes, places, names, parents, children, firstChildren };
}
