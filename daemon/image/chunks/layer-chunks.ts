// From plain bytes of layers to chunks of blobs: through jump tables and the offsets of tar members.

import type { CachedSpec } from '../../blob/cached-source.js';
import { chunkOf } from '../../blob/chunk-map.js';
import type { TraceEntry } from '../../fetch/trace-file.js';
import { Blocks } from '../../zfile/blocks.js';
import type { SourceSpec } from '../disks/spec.js';

/** Bytes of a blob of a registry. */
export interface BlobRange {
  readonly blob: CachedSpec;
  readonly offset: number;
  readonly length: number;
}

/** One layer: finds the bytes of its blob that hold plain bytes. */
export class LayerMap {
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
    case 'filled':
      return 0;
    case 'cached':
    case 'file':
    case 'slice':
      return spec.size;
  }
}

/** @returns null if the bytes are not in a blob of a registry, or their place in it is not known */
export function inBlob(spec: SourceSpec, offset: number, length: number): BlobRange | null {
  switch (spec.kind) {
    case 'cached':
      return { blob: spec, offset, length };
    case 'slice':
      return inBlob(spec.of, spec.offset + offset, length);
    case 'file':
    case 'memory':
    case 'pieces':
    case 'objects':
    case 'filled':
    case 'zfile': // there is none inside another one
      return null;
  }
}

/** Chunks in the order of their first use, none of them twice, up to a number of bytes. */
export class SeenChunks {
  readonly entries: TraceEntry[] = [];
  /**
   * By blob: after each chunk that was seen, the first one that may not have been. A hostile list names the same long range
   * many thousand times, and its chunks are not looked at one by one again.
   */
  readonly #seen = new Map<string, Map<number, number>>();
  readonly #most: number;
  #count = 0;

  constructor(maxBytes: number) {
    this.#most = chunkOf(maxBytes);
  }

  add(range: BlobRange | null): void {
    if (!range) return;
    const { digest } = range.blob;
    let seen = this.#seen.get(digest);
    if (!seen) this.#seen.set(digest, (seen = new Map()));
    const last = chunkOf(range.offset + range.length - 1);
    let chunk = firstUnseen(seen, chunkOf(range.offset));
    while (chunk <= last && this.#count < this.#most) {
      seen.set(chunk, chunk + 1);
      this.#count++;
      this.#append(digest, chunk);
      chunk = firstUnseen(seen, chunk + 1);
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

/** The first chunk from `chunk` on that was not seen. Ways there become short. */
function firstUnseen(seen: Map<number, number>, chunk: number): number {
  let end = chunk;
  for (let next = seen.get(end); next !== undefined; next = seen.get(end)) end = next;
  for (let at = chunk; at < end;) {
    const next = seen.get(at) as number;
    seen.set(at, end);
    at = next;
  }
  return end;
}
