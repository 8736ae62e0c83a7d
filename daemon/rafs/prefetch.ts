// The prefetch table of a bootstrap: files and folders that the image wants to be fetched before they are read.

import { OverlaybdError } from '../errors.js';
import { lookupOf } from '../pieces/piece-lookup.js';
import type { PackedTable } from '../pieces/packed-table.js';
import { NO_MEMBER } from '../pieces/piece-table.js';
import type { StoredRange } from '../pieces/pieces-source.js';
import type { ImageBytes } from './image-bytes.js';
import { MAX_PREFETCH_RANGES } from './limits.js';
import type { RafsSuperblock } from './superblock.js';

/** Plain bytes of a blob. */
export interface PlainRange {
  readonly offset: number;
  readonly length: number;
}

/** What the table names. */
export interface Prefetched {
  /** The place of each inode in the table, by nid. */
  readonly ranks: ReadonlyMap<number, number>;
  /** For people: why the table is not used. */
  readonly notes: readonly string[];
}

/** The table is a hint: what is wrong with it is a note, and the image is opened without it. */
export function readPrefetchTable(image: ImageBytes, superblock: RafsSuperblock): Prefetched {
  try {
    return { ranks: ranksOf(image, superblock), notes: [] };
  } catch (error) {
    if (!(error instanceof OverlaybdError)) throw error;
    const note = `${image.name}: its table of files to fetch first is not used: ${error.message}`;
    return { ranks: new Map(), notes: [note] };
  }
}

/** @throws OverlaybdError BAD_FORMAT if the table names what is not there */
function ranksOf(
  image: ImageBytes,
  { prefetch, inodesAt }: RafsSuperblock,
): ReadonlyMap<number, number> {
  if (prefetch.size === 0) return new Map();
  const table = image.part('prefetch table', prefetch.offset, prefetch.size);
  if (table.length % 4 !== 0) {
    throw image.bad('prefetch table', prefetch.offset, 'numbers of 4 bytes', table.length);
  }
  const nids = new Map<number, number>();
  for (let at = 0; at < table.length; at += 4) {
    const nid = table.readUInt32LE(at);
    // Tools fill it up with zeros.
    if (nid === 0) continue;
    if (inodesAt + nid * 32 + 32 > image.size) {
      throw image.bad('prefetch table', prefetch.offset + at, 'an inode of the bootstrap', nid);
    }
    if (!nids.has(nid) && nids.size < MAX_PREFETCH_RANGES) nids.set(nid, nids.size);
  }
  return nids;
}

/** The stored ranges of plain bytes, in their order; adjacent ones are joined. */
export function storedRanges(table: PackedTable, wanted: readonly PlainRange[]): StoredRange[] {
  const pieces = lookupOf(table);
  const ranges: { begin: number; end: number }[] = [];
  for (const { offset, length } of wanted) {
    for (let i = pieces.find(offset); i < pieces.count; i++) {
      if (pieces.position(i) >= offset + length || ranges.length === MAX_PREFETCH_RANGES) break;
      const member = pieces.member(i);
      if (member === NO_MEMBER) continue;
      const begin = pieces.begin(member);
      const end = begin + pieces.stored(member);
      const last = ranges.at(-1);
      if (last && last.begin <= begin && begin <= last.end) {
        last.end = Math.max(end, last.end);
      } else ranges.push({ begin, end });
    }
  }
  return ranges;
}
