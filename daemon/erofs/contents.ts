// Where the device has the contents of files. They are in the order in which the content sources have them, so that
// the kernel reads a layer forwards when it reads files ahead.

import { OverlaybdError } from '../errors.js';
import { uncountedColumns, type CountedColumns } from '../lib/counted-columns.js';
import type { MergedTree } from '../tree/merged-tree.js';
import { BLOCK } from './format.js';
import type { Layout } from './layout.js';
import { MAX_BLOCKS } from './limits.js';
import type { InodeOrder } from './order.js';

const SECTOR = 512;
const SECTORS_A_BLOCK = BLOCK / SECTOR;

/** What the device has, in its order: a row maps sectors to sectors of a source. */
export interface DeviceRows {
  readonly count: number;
  /** First sector in the device. */
  readonly sectors: Float64Array;
  /** How many sectors. */
  readonly lengths: Float64Array;
  /** 0 is the metadata, i + 1 is content source i. */
  readonly sources: Uint8Array;
  /** First sector in the source. */
  readonly moffsets: Float64Array;
}

/** Whether bytes from `from` to `to` of content source `source` are zeros for certain. */
export type IsZeros = (source: number, from: number, to: number) => boolean;

/** Of an inode: where its first bytes are in their source. Of a row: see {@link DeviceRows}. */
const OFFSET_BYTES = 8;
const ROW_BYTES = 8 + 8 + 1 + 8;

/**
 * Gives every file its blocks, and writes their numbers to the layout.
 * @param columns announces the memory of columns
 * @throws OverlaybdError LIMIT
 */
export function placeContents(
  tree: MergedTree,
  order: InodeOrder,
  layout: Layout,
  isZeros: IsZeros,
  columns: CountedColumns = uncountedColumns(),
): { rows: DeviceRows; blocks: number } {
  columns.take(OFFSET_BYTES * order.inodes.length);
  const { files, ranges } = filesInOrder(tree, order, layout);
  columns.take(ROW_BYTES * (ranges + 1));
  const rows = new RowWriter(ranges + 1, isZeros);
  rows.push(0, layout.metadataBlocks * SECTORS_A_BLOCK, 0, 0);
  let block = layout.metadataBlocks;
  for (const place of files) {
    pushRanges(tree, order.inodes[place] as number, block * SECTORS_A_BLOCK, rows);
    layout.blocks[place] = block;
    block += Math.ceil((layout.sizes[place] as number) / BLOCK);
    if (block > MAX_BLOCKS) throw tooLarge(tree);
  }
  return { rows, blocks: block };
}

/** @param begin the first sector of the file in the device */
function pushRanges(tree: MergedTree, inode: number, begin: number, rows: RowWriter): void {
  const { columns } = tree.layerOf(inode);
  const entry = tree.inodes.entries[inode] as number;
  const base = (tree.sourceBases[tree.inodes.layers[inode] as number] as number) + 1;
  const end = columns.rangeStarts[entry + 1] as number;
  for (let r = columns.rangeStarts[entry] as number; r < end; r++) {
    rows.push(
      begin + (columns.rangeFileOffsets[r] as number) / SECTOR,
      Math.ceil((columns.rangeLengths[r] as number) / SECTOR),
      base + (columns.rangeSources[r] as number),
      (columns.rangeOffsets[r] as number) / SECTOR,
    );
  }
}

interface FilesInOrder {
  /** Places in the order of inodes. */
  readonly files: readonly number[];
  /** How many ranges they have together. */
  readonly ranges: number;
}

/** By source and offset of their first bytes; files that are one hole come last. */
function filesInOrder(tree: MergedTree, { inodes }: InodeOrder, { sizes }: Layout): FilesInOrder {
  const sources: number[][] = [];
  const holes: number[] = [];
  const offsets = new Float64Array(inodes.length);
  let ranges = 0;
  for (let place = 0; place < inodes.length; place++) {
    const inode = inodes[place] as number;
    if (sizes[place] === 0 || tree.typeOf(inode) !== 'reg') continue;
    const { columns } = tree.layerOf(inode);
    const entry = tree.inodes.entries[inode] as number;
    const first = columns.rangeStarts[entry] as number;
    const end = columns.rangeStarts[entry + 1] as number;
    ranges += end - first;
    if (first === end) {
      holes.push(place);
      continue;
    }
    offsets[place] = columns.rangeOffsets[first] as number;
    const base = tree.sourceBases[tree.inodes.layers[inode] as number] as number;
    (sources[base + (columns.rangeSources[first] as number)] ??= []).push(place);
  }
  const files: number[] = [];
  for (const source of sources) {
    if (!source) continue;
    if (!isSorted(source, offsets)) {
      source.sort((a, b) => (offsets[a] as number) - (offsets[b] as number) || a - b);
    }
    for (const place of source) files.push(place);
  }
  for (const place of holes) files.push(place);
  return { files, ranges };
}

/** Whether places, which ascend, are in the order of their offsets already: those of most layers are. */
function isSorted(places: readonly number[], offsets: Float64Array): boolean {
  let last = 0;
  for (const place of places) {
    const offset = offsets[place] as number;
    if (offset < last) return false;
    last = offset;
  }
  return true;
}

class RowWriter implements DeviceRows {
  count = 0;
  readonly sectors: Float64Array;
  readonly lengths: Float64Array;
  readonly sources: Uint8Array;
  readonly moffsets: Float64Array;
  readonly #isZeros: IsZeros;

  constructor(capacity: number, isZeros: IsZeros) {
    this.#isZeros = isZeros;
    this.sectors = new Float64Array(capacity);
    this.lengths = new Float64Array(capacity);
    this.sources = new Uint8Array(capacity);
    this.moffsets = new Float64Array(capacity);
  }

  push(sector: number, length: number, source: number, moffset: number): void {
    if (this.#goesOn(sector, source, moffset)) {
      const last = this.count - 1;
      this.lengths[last] = sector + length - (this.sectors[last] as number);
      return;
    }
    const i = this.count++;
    this.sectors[i] = sector;
    this.lengths[i] = length;
    this.sources[i] = source;
    this.moffsets[i] = moffset;
  }

  /**
   * Whether the source goes on from the last row as the device does, with zeros in what the last block of a file does not need.
   * Then both are one row.
   */
  #goesOn(sector: number, source: number, moffset: number): boolean {
    const last = this.count - 1;
    if (last < 0 || source === 0 || this.sources[last] !== source) return false;
    const length = this.lengths[last] as number;
    const end = (this.moffsets[last] as number) + length;
    const gap = sector - ((this.sectors[last] as number) + length);
    if (gap >= SECTORS_A_BLOCK || moffset - end !== gap) return false;
    return gap === 0 || this.#isZeros(source - 1, end * SECTOR, moffset * SECTOR);
  }
}

function tooLarge(tree: MergedTree): OverlaybdError {
  const name = tree.layers[0]?.name ?? 'image';
  const message = `${name}: its files take more than ${MAX_BLOCKS} blocks of ${BLOCK} bytes`;
  return new OverlaybdError('LIMIT', message);
}
