// Writes the tree of an image as an EROFS file system that every Linux from 5.4 on mounts: the metadata into memory
// that all threads share, and a list of where the contents of files are. docs/lazy-images.md describes the bytes.

import { CountedColumns, type TableEffort } from '../lib/counted-columns.js';
import { UNBOUNDED } from '../lib/effort.js';
import type { MergedTree } from '../tree/merged-tree.js';
import { placeContents, type DeviceRows, type IsZeros } from './contents.js';
import { BLOCK } from './format.js';
import { InodeWriter } from './inodes.js';
import { layOut } from './layout.js';
import { orderInodes } from './order.js';
import { superblock, uuidOf } from './superblock.js';
import type { DroppedXattrs } from './xattrs.js';

export interface ErofsOptions {
  /** What the tree is made of: the digests of the layers, bottom first. The UUID of the file system comes from it. */
  readonly uuidSeed: readonly string[];
  /** Absent: nothing is known of what is between two files. */
  readonly isZeros?: IsZeros;
  /** Announces the memory of what is needed to write it, and gives it back: the metadata have a limit of their own. */
  readonly effort?: TableEffort;
}

export interface WrittenErofs {
  /** The first bytes of the device. */
  readonly metadata: SharedArrayBuffer;
  /** The metadata too is in it. */
  readonly rows: DeviceRows;
  /** Bytes, a multiple of 4096. */
  readonly deviceSize: number;
  readonly inodes: number;
  /** 16 bytes. */
  readonly uuid: Uint8Array;
  readonly dropped: DroppedXattrs;
}

/** @throws OverlaybdError LIMIT */
export function writeErofs(
  tree: MergedTree,
  { uuidSeed, isZeros = () => false, effort = UNBOUNDED }: ErofsOptions,
): WrittenErofs {
  const columns = new CountedColumns(tree.layers.at(-1)?.name ?? 'image', effort);
  const order = orderInodes(tree, columns);
  const layout = layOut(tree, order, columns);
  const { rows, blocks } = placeContents(tree, order, layout, isZeros, columns);
  const metadata = new SharedArrayBuffer(layout.metadataBlocks * BLOCK);
  const bytes = Buffer.from(metadata);
  const writer = new InodeWriter(tree, order, layout, bytes);
  const count = order.inodes.length;
  for (let place = 0; place < count; place++) writer.write(place);
  const { xattrs, sharedXattrs } = layout;
  xattrs.writeShared(bytes, sharedXattrs);
  const xattrBlock = xattrs.sharedSize === 0 ? 0 : Math.floor(sharedXattrs / BLOCK);
  const [rootNid = 0] = layout.nids;
  const uuid = uuidOf(uuidSeed);
  bytes.set(superblock({ rootNid, inodes: count, blocks, xattrBlock, uuid }));
  columns.finish(0);
  return {
    metadata,
    rows,
    deviceSize: blocks * BLOCK,
    inodes: count,
    uuid,
    dropped: xattrs.dropped,
  };
}
