// From the plain bytes of layers that a trace of the reference implementation names, and from what layers want to be
// fetched before they are read, to chunks of blobs.

import { setImmediate as turn } from 'node:timers/promises';
import type { TraceEntry } from '../../fetch/trace-file.js';
import type { UpstreamEntry } from '../../fetch/upstream-trace.js';
import { LayerMap, SeenChunks, inBlob } from './layer-chunks.js';
import { sourcesOf, type DiskSpec } from '../disks/spec.js';

/** Bytes of an entry that count: the reference implementation fetches no more of one either. */
const MAX_ENTRY_BYTES = 1 << 20;
/** Takes some milliseconds. */
const ENTRIES_A_TURN = 4096;

export interface TraceChunks {
  /** In the order of their first use. No chunk is there twice. */
  readonly entries: readonly TraceEntry[];
  /** Entries of layers that the disk does not have, and past the ends of layers. */
  readonly foreign: number;
}

/**
 * The chunks that a trace of a disk needs, up to a number of bytes.
 * @param maxBytes of all chunks; what the trace names after that is left out
 */
export async function chunksOfTrace(
  entries: readonly UpstreamEntry[],
  disk: DiskSpec,
  maxBytes: number,
): Promise<TraceChunks> {
  const layers = sourcesOf(disk).map((spec) => new LayerMap(spec));
  const seen = new SeenChunks(maxBytes);
  let foreign = 0;
  for (const [i, { layer, offset, length }] of entries.entries()) {
    // oxlint-disable-next-line no-await-in-loop -- the thread does other work in between
    if (i % ENTRIES_A_TURN === ENTRIES_A_TURN - 1) await turn();
    const map = layers[layer];
    if (!map || offset >= map.size) foreign++;
    else seen.add(map.stored(offset, Math.min(length, MAX_ENTRY_BYTES, map.size - offset)));
  }
  return { entries: seen.entries, foreign };
}

/** The chunks that the layers of a disk want to be fetched before they are read, up to a number of bytes. */
export function chunksOfHints(disk: DiskSpec, maxBytes: number): readonly TraceEntry[] {
  const seen = new SeenChunks(maxBytes);
  for (const spec of sourcesOf(disk)) {
    if (spec.kind !== 'pieces') continue;
    for (const { begin, end } of spec.prefetch ?? []) {
      seen.add(inBlob(spec.of, begin, end - begin));
    }
  }
  return seen.entries;
}
