// Whether two EROFS file systems that were made of layers have the same tree, wherever each of them has its inodes and the
// contents of files: the same names, the same fields, and every byte of a file at the same place of the same source.

import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { DeviceRows } from '../erofs/contents.js';
import { BLOCK } from '../erofs/format.js';
import { ErofsImage, type VisitedEntry } from '../erofs/reader/image.js';
import type { ErofsInode } from '../erofs/reader/inode.js';
import { readSuperblock } from '../erofs/reader/superblock.js';
import { UNBOUNDED, type Effort } from '../lib/effort.js';
import { SECTOR } from '../lsmt/format.js';
import { typeOfMode } from '../tree/file-types.js';
import { shownPath } from '../tree/names.js';

const SECTORS_A_BLOCK = BLOCK / SECTOR;
/** The number of the first block of a file that has none. */
const NO_BLOCK = 0xffff_ffff;
/** Bytes of the digest of an entry that are kept to find the first one that differs. */
const MARK = 8;

const TURNS: Effort = { ...UNBOUNDED, turn: () => nextTurn() };

export interface MadeTree {
  readonly metadata: SharedArrayBuffer;
  readonly rows: DeviceRows;
}

/**
 * @param name of the image, for messages
 * @returns the path of the first entry that is not in both, for people; null: the trees are the same
 * @throws OverlaybdError if the metadata of one cannot be read
 */
export async function treeDifference(
  a: MadeTree,
  b: MadeTree,
  name: string,
): Promise<string | null> {
  const [marksOfA, marksOfB] = [await marksOf(a, 'a', name), await marksOf(b, 'b', name)];
  if (marksOfA.equals(marksOfB)) return null;
  let at = 0;
  while (marksOfA.subarray(at, at + MARK).equals(marksOfB.subarray(at, at + MARK))) at += MARK;
  // If one of them ends before, the other one has the entry.
  const longer = marksOfB.length > at ? b : a;
  return at === 0 ? 'the root' : shownPath(await pathOf(longer, at / MARK, name));
}

function imageOf({ metadata }: MadeTree, name: string): ErofsImage {
  const bytes = Buffer.from(metadata);
  return new ErofsImage(bytes, readSuperblock(bytes, name), name);
}

/** A mark of each entry, in an order that only the tree decides: names in a directory are sorted. */
async function marksOf(tree: MadeTree, which: string, name: string): Promise<Buffer> {
  const image = imageOf(tree, name);
  const numbers = new Map<number, number>();
  let marks = Buffer.alloc(MARK << 10);
  let length = 0;
  await image.walk(TURNS, (entry) => {
    // Names of one file are told from files that are alike.
    const { nid } = entry.inode;
    const first = numbers.get(nid) ?? length;
    numbers.set(nid, first);
    if (length === marks.length) marks = Buffer.concat([marks, Buffer.alloc(length)]);
    const hash = createHash('sha256').update(factsOf(entry, image, tree.rows, which));
    length += hash.update(`${first}`).digest().copy(marks, length, 0, MARK);
  });
  return marks.subarray(0, length);
}

async function pathOf(tree: MadeTree, number: number, name: string): Promise<string> {
  let found = '';
  let i = 0;
  await imageOf(tree, name).walk(TURNS, ({ path }) => {
    if (i++ === number) found = path;
  });
  return found;
}

function factsOf(entry: VisitedEntry, image: ErofsImage, rows: DeviceRows, which: string): string {
  const { path, inode } = entry;
  const { mode, uid, gid, nlink, mtime, mtimeNs } = inode;
  const xattrs = [...image.xattrsOf(inode, TURNS)]
    .map(([key, value]) => [key, Buffer.from(value).toString('latin1')])
    .toSorted(([x = ''], [y = '']) => (x < y ? -1 : 1));
  const content = contentOf(inode, image, rows, which);
  return JSON.stringify([path, mode, uid, gid, nlink, mtime, mtimeNs, xattrs, content]);
}

/** @param which of the trees it is: contents of an unknown layout are never the same */
function contentOf(inode: ErofsInode, image: ErofsImage, rows: DeviceRows, which: string): unknown {
  const { size, place, layout, mode } = inode;
  const type = typeOfMode(mode);
  if (type === 'dir') return null;
  if (type === 'symlink') return image.targetOf(inode);
  if (type !== 'reg') return place;
  if (size === 0 || place === NO_BLOCK) return size;
  return layout === 'plain' ? [size, runsOf(rows, place, size)] : `${layout} in ${which}`;
}

/** Where the sources have a file: its first sector in the file, sectors, source and first sector there, of each run. */
function runsOf(rows: DeviceRows, block: number, size: number): number[][] {
  const begin = block * SECTORS_A_BLOCK;
  const end = begin + Math.ceil(size / SECTOR);
  const runs: number[][] = [];
  for (let i = lastRowAt(rows, begin); i < rows.count; i++) {
    const first = rows.sectors[i] as number;
    if (first >= end) break;
    const from = Math.max(first, begin);
    const length = Math.min(first + (rows.lengths[i] as number), end) - from;
    if (length <= 0) continue;
    const source = rows.sources[i] as number;
    const moffset = (rows.moffsets[i] as number) + (from - first);
    const [at = 0, n = 0, of = -1, sector = 0] = runs.at(-1) ?? [];
    const isNext = of === source && at + n === from - begin && sector + n === moffset;
    if (isNext) runs[runs.length - 1] = [at, n + length, of, sector];
    else runs.push([from - begin, length, source, moffset]);
  }
  return runs;
}

/** The last row that does not begin after a sector, or the first row. */
function lastRowAt({ count, sectors }: DeviceRows, sector: number): number {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sectors[middle] as number) <= sector) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - 1);
}
