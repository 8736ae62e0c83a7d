// From the plain bytes of layers that a trace of the reference implementation names to chunks of blobs: through
// jump tables and the offsets of tar members.

import { setImmediate as turn } from 'node:timers/promises';
import type { CachedSpec } from '../blob/cached-source.js';
import { chunkOf } from '../blob/chunk-map.js';
import type { TraceEntry } from '../fetch/trace-file.js';
import type { UpstreamEntry } from '../fetch/upstream-trace.js';
import { Blocks } from '../zfile/blocks.js';
import { sourcesOf, type DiskSpec, type SourceSpec } from './spec.js';

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

/** Bytes of a blob of a registry. */
interface BlobRange {
  readonly blob: CachedSpec;
  readonly offset: number;
  readonly length: number;
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
    if (spec.kind !== 'pieces' || !spec.prefetchEnd) continue;
    seen.add(inBlob(spec.of, 0, spec.prefetchEnd));
  }
  return seen.entries;
}

/** One layer: finds the bytes of its blob that hold plain bytes. */
class LayerMap {
  readonly size: number;
  readonly #spec: SourceSpec;
  readonly #blocks: Blocks | null;

  constructor(spec: SourceSpec) {
    this.#spec = spec;
    this.#blocks = spec.kind === 'zfile' ? new Blocks(spec.zfile) : null;
    this.size = plainSizeOf(spec);
  }

  /** @returns null if the layer is on this machine */
  stored(offset: number, length: number): BlobRange | null {
    if (this.#spec.kind !== 'zfile' || !this.#blocks) return inBlob(this.#spec, offset, length);
    const begin = this.#blocks.storedAt(this.#blocks.blockOf(offset));
    const end = this.#blocks.storedAt(this.#blocks.blockOf(offset + length - 1) + 1);
    return inBlob(this.#spec.of, begin, end - begin);
  }
}

/** The traces are of LSMT files: what else a disk is made of has no bytes for them. */
function plainSizeOf(spec: SourceSpec): number {
  switch (spec.kind) {
    case 'zfile':
      return spec.zfile.originalSize;
    case 'memory':
    case 'pieces':
    case 'objects':
      return 0;
    case 'cached':
    case 'file':
    case 'slice':
      return spec.size;
  }
}

function inBlob(spec: SourceSpec, offset: number, length: number): BlobRange | null {
  switch (spec.kind) {
    case 'cached':
      return { blob: spec, offset, length };
    case 'slice':
      return inBlob(spec.of, spec.offset + offset, length);
    case 'file':
    case 'memory':
    case 'pieces':
    case 'objects':
    case 'zfile': // there is none inside another one
      return null;
  }
}

class SeenChunks {
  readonly entries: TraceEntry[] = [];
  readonly #seen = new Map<string, Set<number>>();
  readonly #most: number;
  #count = 0;

  constructor(maxBytes: number) {
    this.#most = chunkOf(maxBytes);
  }

  add(range: BlobRange | null): void {
    if (!range) return;
    const { digest } = range.blob;
    let seen = this.#seen.get(digest);
    if (!seen) this.#seen.set(digest, (seen = new Set()));
    const last = chunkOf(range.offset + range.length - 1);
    for (let chunk = chunkOf(range.offset); chunk <= last; chunk++) {
      if (seen.has(chunk) || this.#count === this.#most) continue;
      seen.add(chunk);
      this.#count++;
      this.#append(digest, chunk);
    }
  }

  /** Joins neighbours. */
  #append(digest: string, chunk: number): void {
    const before = this.entries.at(-1);
    if (before?.digest === digest && before.last === chunk - 1) {
      this.entries[this.entries.length - 1] = { ...before, last: chunk };
    } else this.entries.push({ digest, first: chunk, last: chunk });
  }
}
