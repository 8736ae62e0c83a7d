// The first pass: where everything goes. Nothing is written yet.
//
//   block 0            superblock
//   from byte 4096 on  inodes, each followed by its xattrs and, if they fit the same block, its last bytes
//   then               shared xattrs
//   then, in blocks    directories, targets of symlinks that do not fit
//   then, in blocks    contents of files: no memory, the device has them from content sources

import { OverlaybdError } from '../errors.js';
import { uncountedColumns, type CountedColumns } from '../lib/counted-columns.js';
import type { MergedTree } from '../tree/merged-tree.js';
import { directorySize } from './directory.js';
import { BLOCK, INODE, NO_BLOCK, SLOT } from './format.js';
import { MAX_METADATA_BYTES } from './limits.js';
import type { InodeOrder } from './order.js';
import { XattrPlan } from './xattrs.js';

/** Where everything is. By place in the order of inodes, unless another meaning is given. */
export interface Layout {
  readonly xattrs: XattrPlan;
  /** Where each inode is, in units of 32 bytes from the start of the device. */
  readonly nids: Uint32Array;
  /** Bytes of each file, directory and symlink's target. */
  readonly sizes: Float64Array;
  /** The first block of each; NO_BLOCK if there is none. */
  readonly blocks: Uint32Array;
  /** 1 if the last bytes are after the inode. */
  readonly inline: Uint8Array;
  /** Byte offset of the shared xattrs, a multiple of 4. */
  readonly sharedXattrs: number;
  /** Blocks of metadata, block 0 included. */
  readonly metadataBlocks: number;
}

/** Columns for each inode: nids, sizes, blocks, inline. */
const INODE_BYTES = 4 + 8 + 4 + 1;

/**
 * @param columns announces their memory
 * @param most bytes of metadata; tests set it
 * @throws OverlaybdError LIMIT
 */
export function layOut(
  tree: MergedTree,
  { inodes, names }: InodeOrder,
  columns: CountedColumns = uncountedColumns(),
  most = MAX_METADATA_BYTES,
): Layout {
  const count = inodes.length;
  columns.take(INODE_BYTES * count);
  const layout = {
    xattrs: new XattrPlan(),
    nids: new Uint32Array(count),
    sizes: new Float64Array(count),
    blocks: new Uint32Array(count).fill(NO_BLOCK),
    inline: new Uint8Array(count),
  };
  const { xattrs, sizes, inline } = layout;
  for (const inode of inodes) {
    const set = tree.xattrsOf(inode);
    if (set) xattrs.count(set);
  }
  let at = BLOCK;
  for (let i = 0; i < count; i++) {
    const inode = inodes[i] as number;
    const list = names[inode];
    const size = list ? directorySize(list) : ownSize(tree, inode);
    sizes[i] = size;
    const set = tree.xattrsOf(inode);
    const head = INODE + (set ? (xattrs.areaOf(set)?.size ?? 0) : 0);
    const tail = list || tree.typeOf(inode) === 'symlink' ? size % BLOCK : 0;
    const begin = placeOf(at, head, tail);
    layout.nids[i] = begin / SLOT;
    if (tail > 0 && fits(begin, head + tail)) {
      inline[i] = 1;
      at = begin + head + tail;
    } else at = begin + head;
    at = roundUp(at, SLOT);
    // Before the numbers of the next ones become wrong.
    if (at > most) throw tooLong(tree, most);
  }
  const sharedXattrs = at;
  let block = Math.ceil((sharedXattrs + xattrs.sharedSize) / BLOCK);
  for (let i = 0; i < count; i++) {
    const type = tree.typeOf(inodes[i] as number);
    if (type !== 'dir' && type !== 'symlink') continue;
    const size = sizes[i] as number;
    const n = inline[i] === 1 ? Math.floor(size / BLOCK) : Math.ceil(size / BLOCK);
    if (n === 0) continue;
    layout.blocks[i] = block;
    block += n;
  }
  if (block * BLOCK > most) throw tooLong(tree, most);
  return { ...layout, sharedXattrs, metadataBlocks: block };
}

/** Bytes of a file or of a symlink's target; 0 for what has no contents. */
function ownSize(tree: MergedTree, inode: number): number {
  const entry = tree.inodes.entries[inode] as number;
  if (entry < 0) return 0;
  const layer = tree.layerOf(inode);
  const type = tree.typeOf(inode);
  if (type === 'symlink') return layer.targetOf(entry).length;
  return type === 'reg' ? (layer.columns.sizes[entry] as number) : 0;
}

/**
 * Where an inode begins: here, or in the next block. An inode must not cross a block (Linux before 5.4.59), and its
 * last bytes are after it only if inode, xattrs and these bytes are in one block (symlinks need that up to Linux 6.1).
 * If moving the inode would waste more than a block of their own, they get a block.
 * @param head bytes of inode and xattrs
 * @param tail bytes that go after them if possible
 */
function placeOf(at: number, head: number, tail: number): number {
  const next = roundUp(at, BLOCK);
  const canBeInline = tail > 0 && head + tail <= BLOCK;
  if (canBeInline && !fits(at, head + tail) && next - at <= BLOCK - tail) return next;
  return fits(at, INODE) ? at : next;
}

function fits(at: number, length: number): boolean {
  return (at % BLOCK) + length <= BLOCK;
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

function tooLong(tree: MergedTree, most: number): OverlaybdError {
  const name = tree.layers[0]?.name ?? 'image';
  const message = `${name}: its tree takes more than ${most} bytes of metadata`;
  return new OverlaybdError('LIMIT', message);
}
