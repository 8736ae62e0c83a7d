// The second pass, for one inode: its 64 bytes, its xattrs, and the contents of directories and symlinks.

import { TWO_32, viewOf } from '../lib/bytes.js';
import { TYPE_BITS } from '../tree/file-types.js';
import type { MergedTree } from '../tree/merged-tree.js';
import { writeDirectory, type Dirent } from './directory.js';
import {
  BLOCK,
  DIRENT_TYPES,
  FORMAT_INLINE,
  FORMAT_PLAIN,
  I,
  INODE,
  SLOT,
  XATTR_HEADER,
} from './format.js';
import type { Layout } from './layout.js';
import type { InodeOrder } from './order.js';
import { writeArea } from './xattrs.js';

export class InodeWriter {
  readonly #tree: MergedTree;
  readonly #order: InodeOrder;
  readonly #layout: Layout;
  readonly #bytes: Buffer;
  /** Of the same bytes: it writes a number in one step. */
  readonly #view: DataView;
  /** Number of the first shared xattr. */
  readonly #firstShared: number;

  constructor(tree: MergedTree, order: InodeOrder, layout: Layout, bytes: Buffer) {
    this.#tree = tree;
    this.#order = order;
    this.#layout = layout;
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
    this.#firstShared = (layout.sharedXattrs % BLOCK) / 4;
  }

  /** @param place in the order of inodes */
  write(place: number): void {
    const tree = this.#tree;
    const layout = this.#layout;
    const bytes = this.#bytes;
    const view = this.#view;
    const inode = this.#order.inodes[place] as number;
    const type = tree.typeOf(inode);
    const at = (layout.nids[place] as number) * SLOT;
    const isInline = layout.inline[place] === 1;
    view.setUint16(at + I.format, isInline ? FORMAT_INLINE : FORMAT_PLAIN, true);
    view.setUint16(at + I.mode, TYPE_BITS[type] | modeOf(tree, inode), true);
    const size = layout.sizes[place] as number;
    writeU64LE(view, size, at + I.size);
    const isNode = type === 'char' || type === 'block';
    const block = layout.blocks[place] as number;
    view.setUint32(at + I.place, isNode ? deviceOf(tree, inode) : block, true);
    view.setUint32(at + I.number, place + 1, true);
    view.setUint32(at + I.nlink, tree.inodes.nlinks[inode] as number, true);
    this.#writeOwner(inode, at);
    let end = at + INODE;
    const set = tree.xattrsOf(inode);
    const area = set && layout.xattrs.areaOf(set);
    if (area) {
      view.setUint16(at + I.xattrCount, (area.size - XATTR_HEADER) / 4 + 1, true);
      writeArea(bytes, end, area, this.#firstShared);
      end += area.size;
    }
    if (type === 'dir') this.#writeNames(inode, place, end);
    if (type === 'symlink') {
      const target = tree.layerOf(inode).targetOf(tree.inodes.entries[inode] as number);
      bytes.write(target, isInline ? end : block * BLOCK, 'latin1');
    }
  }

  #writeOwner(inode: number, at: number): void {
    const entry = this.#tree.inodes.entries[inode] as number;
    // Implied directories and whiteouts: root, and 1970.
    if (entry < 0) return;
    const view = this.#view;
    const { columns } = this.#tree.layerOf(inode);
    view.setUint32(at + I.uid, columns.uids[entry] as number, true);
    view.setUint32(at + I.gid, columns.gids[entry] as number, true);
    writeU64LE(view, columns.mtimes[entry] as number, at + I.mtime);
    view.setUint32(at + I.nanoseconds, columns.nanoseconds[entry] as number, true);
  }

  /** @param tail where the last block goes, if it is inline */
  #writeNames(inode: number, place: number, tail: number): void {
    const { names, places, children, firstChildren } = this.#order;
    const { nids, sizes, blocks, inline } = this.#layout;
    const tree = this.#tree;
    const firstChild = firstChildren[inode] as number;
    // One object for all entries.
    const dirent = { nid: 0, type: 0 };
    const direntOf = (i: number): Dirent => {
      const child = children[firstChild + i] as number;
      dirent.nid = nids[(places[child] as number) - 1] as number;
      dirent.type = DIRENT_TYPES[tree.typeOf(child)];
      return dirent;
    };
    const full = Math.floor((sizes[place] as number) / BLOCK);
    const isInline = inline[place] === 1;
    const first = blocks[place] as number;
    writeDirectory(this.#view, names[inode] as readonly string[], direntOf, (block) =>
      isInline && block === full ? tail : (first + block) * BLOCK,
    );
  }
}

function modeOf(tree: MergedTree, inode: number): number {
  // Linux shows every symlink so.
  return tree.typeOf(inode) === 'symlink' ? 0o777 : tree.modeOf(inode);
}

/** As Linux stores a device number in 32 bits. */
function deviceOf(tree: MergedTree, inode: number): number {
  const entry = tree.inodes.entries[inode] as number;
  const rdev = entry < 0 ? 0 : (tree.layerOf(inode).columns.rdevs.get(entry) ?? 0);
  const major = rdev >>> 20;
  const minor = rdev & 0xf_ffff;
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
}

/** Two's complement: times may be negative. */
function writeU64LE(view: DataView, value: number, at: number): void {
  const high = Math.floor(value / TWO_32);
  view.setUint32(at, value - high * TWO_32, true);
  view.setInt32(at + 4, high, true);
}
