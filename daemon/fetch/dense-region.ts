// What is fetched around a read that is not sequential. Pure.
//
// File systems put what belongs together close together: directories and inodes, and the files of a folder. A
// program that goes through them reads forwards and backwards, with gaps, and each chunk costs a round trip. So
// where a part of the chunks is there already, the rest is probably needed too. Where reads are far apart nothing
// is fetched that no read wants.

import type { ChunkRange } from './read-ahead.js';

/** 4 MiB: as long as a window of read-ahead. */
const MAX_CHUNKS = 64;
/** More than this part of the other chunks of a region must be there. */
const DENSE = 1 / 4;

/**
 * The largest region around a read of which enough is there, aligned to its own size, a power of two.
 * @param isThere whether a chunk is present, or on its way
 * @returns null if there is none, or if the read needs no new chunk
 */
export function denseRegion(
  { first, last }: ChunkRange,
  chunks: number,
  isThere: (chunk: number) => boolean,
): ChunkRange | null {
  let isNew = false;
  for (let chunk = first; chunk <= last; chunk++) isNew ||= !isThere(chunk);
  if (!isNew) return null;
  let dense: ChunkRange | null = null;
  for (let size = 2; size <= MAX_CHUNKS; size *= 2) {
    const begin = Math.floor(first / size) * size;
    const end = Math.min(begin + size, chunks) - 1;
    if (last > end) continue;
    let others = 0;
    let there = 0;
    for (let chunk = begin; chunk <= end; chunk++) {
      if (chunk >= first && chunk <= last) continue;
      others++;
      if (isThere(chunk)) there++;
    }
    if (there > others * DENSE) dense = { first: begin, last: end };
  }
  return dense;
}
