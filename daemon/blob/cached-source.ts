// A blob of a registry whose chunks lie in a cache file, as a blob source. Reads what is present without a
// message; asks the fetcher's thread for what is missing. Owns no descriptor.

import { monotonicMs } from '../lib/clock.js';
import type { FileRange } from '../lib/disk.js';
import { files } from '../native/file.js';
import {
  CHUNK_SIZE,
  ChunkMap,
  MAP_HITS,
  MAP_MISSES,
  MAP_REPEATS,
  chunkLength,
  chunkOf,
} from './chunk-map.js';
import type { RegistryRef } from './blob-ref.js';
import type { ChunkDigests } from './chunk-digests.js';
import { loadRange, prefetchRange, shortRead } from './file-jobs.js';
import type { BlobSource } from './source.js';

/** What a thread needs to read a cached blob; descriptors and the map are shared by all threads. */
export interface CachedSpec {
  readonly kind: 'cached';
  readonly name: string;
  /** "sha256:" and 64 hexadecimal digits. */
  readonly digest: string;
  readonly size: number;
  /** Names the blob in messages to the fetcher; unique in this process. */
  readonly blob: number;
  /** The data file: byte n of the blob is byte n of it. If there is none, the same as `slotsFd`. */
  readonly fd: number;
  /** The memory of chunks that no file has: slot n begins at n * CHUNK_SIZE. */
  readonly slotsFd: number;
  /** Of a {@link ChunkMap}. */
  readonly state: SharedArrayBuffer;
}

/** What a cached source needs of the fetcher. Ranges of chunks include both ends. */
export interface ChunkFetcher {
  /**
   * Resolves when the range is present.
   * @throws OverlaybdError if it cannot be fetched within the deadline
   */
  want(blob: number, firstChunk: number, lastChunk: number): Promise<void>;
  /** The range will be needed soon. There is no answer. */
  hint(blob: number, firstChunk: number, lastChunk: number): void;
  /**
   * Drops the range, whose bytes are wrong, and fetches it once more, from the registry itself.
   * @throws OverlaybdError as `want` does
   */
  refetch(blob: number, firstChunk: number, lastChunk: number): Promise<void>;
  /**
   * Says what the chunks of a blob are. From then on they are checked when they are fetched again, before they are present.
   * @param generation of the map of the blob: what was present then, and has not changed since, is right. null: nothing of it
   *   is known. Absent: a fetcher that only reads
   */
  setDigests?(blob: number, digests: ChunkDigests, generation: number | null): Promise<void>;
  /**
   * Makes room on the disk of the cache for a file that is worth more than chunks. Absent: a fetcher that only reads.
   * @param bytes that the file is going to have
   * @returns why there is no room; null: there is
   */
  makeRoom?(bytes: number, file: string): Promise<string | null>;
  /** The size of a blob that no descriptor has. Absent: a fetcher that only reads. */
  sizeOf?(blob: Omit<RegistryRef, 'kind' | 'size'>): Promise<number>;
  /** Drops the range, whose bytes are wrong. There is no answer. */
  drop(blob: number, firstChunk: number, lastChunk: number): void;
}

/** Bytes that break a checksum are fetched again once in this time. If they break it again, the registry itself has them. */
const DISTRUST_MS = 60_000;
/** Chunks of a blob that were fetched again recently. */
const MAX_DISTRUSTED = 1024;

/** How often a read repeats at once because something was evicted while it read. */
const MAX_REPEATS = 3;

export class CachedSource implements BlobSource {
  readonly name: string;
  readonly size: number;
  readonly isLocal = false;
  readonly #blob: number;
  readonly #fd: number;
  readonly #slotsFd: number;
  readonly #map: ChunkMap;
  readonly #fetcher: ChunkFetcher;
  /** Ranges of chunks that are to be fetched again. */
  #doubts: { readonly first: number; readonly last: number }[] = [];
  /** When a chunk was fetched again, by {@link monotonicMs}. */
  readonly #refetched = new Map<number, number>();

  constructor(spec: CachedSpec, fetcher: ChunkFetcher) {
    this.name = spec.name;
    this.size = spec.size;
    this.#blob = spec.blob;
    this.#fd = spec.fd;
    this.#slotsFd = spec.slotsFd;
    this.#map = new ChunkMap(spec.state, spec.size);
    this.#fetcher = fetcher;
  }

  ensure(offset: number, length: number): Promise<void> | null {
    const map = this.#map;
    if (length === 0 || offset + length > this.size) return null;
    const first = chunkOf(offset);
    const last = chunkOf(offset + length - 1);
    if (this.#doubts.length > 0) {
      const again = this.#fetchDoubted(first, last);
      if (again) return again;
    }
    if (map.isComplete) return null;
    if (map.hasAll(first, last)) return null;
    map.add(MAP_MISSES);
    return this.#fetcher.want(this.#blob, first, last);
  }

  read(offset: number, length: number, dst: Uint8Array, at: number): boolean {
    if (offset + length > this.size) throw this.#shortRead(offset, length);
    if (length === 0) return true;
    const map = this.#map;
    const first = chunkOf(offset);
    const last = chunkOf(offset + length - 1);
    if (this.#doubts.length > 0 && this.#isDoubted(first, last)) return false;
    if (map.isComplete) {
      if (!this.#readFile(offset, length, dst, at)) return false;
      map.add(MAP_HITS);
      return true;
    }
    for (let repeats = 0; repeats <= MAX_REPEATS; repeats++) {
      const { generation } = map;
      if (!map.hasAll(first, last)) return false;
      const isAtHand = map.hasSlots
        ? this.#readChunks(offset, length, dst, at)
        : this.#readFile(offset, length, dst, at);
      if (map.generation !== generation) {
        map.add(MAP_REPEATS);
        continue;
      }
      if (isAtHand) this.#used(first, last);
      return isAtHand;
    }
    return false;
  }

  /** Only of a complete blob: holes are punched into the file of any other. */
  locate(offset: number, length: number, into: FileRange): boolean {
    if (!this.#map.isComplete || offset + length > this.size) return false;
    into.fd = this.#fd;
    into.position = offset;
    return true;
  }

  load(offset: number, length: number): Promise<void> {
    if (offset + length > this.size) return Promise.reject(this.#shortRead(offset, length));
    if (length === 0) return Promise.resolve();
    if (this.#map.hasSlots) return this.#loadChunks(offset, length);
    return loadRange(this.#fd, this.name, offset, length, offset);
  }

  async #loadChunks(offset: number, length: number): Promise<void> {
    for (let position = offset; position < offset + length;) {
      const chunk = chunkOf(position);
      const n = Math.min(chunk * CHUNK_SIZE + CHUNK_SIZE, offset + length) - position;
      // What is in a slot is in memory.
      if (this.#map.slotOf(chunk) < 0) {
        await loadRange(this.#fd, this.name, position, n, position);
      }
      position += n;
    }
  }

  async prefetch(offset: number, length: number): Promise<void> {
    const n = Math.min(length, this.size - offset);
    if (n <= 0) return;
    const first = chunkOf(offset);
    const last = chunkOf(offset + n - 1);
    if (!this.#map.isComplete && !this.#map.hasAll(first, last)) {
      this.#fetcher.hint(this.#blob, first, last);
    } else {
      await prefetchRange(this.#fd, this.name, offset, n, offset);
    }
  }

  distrust(offset: number, length: number): boolean {
    const first = chunkOf(offset);
    const last = chunkOf(offset + length - 1);
    if (this.#isDoubted(first, last)) return true;
    const now = monotonicMs();
    for (let chunk = first; chunk <= last; chunk++) {
      if (now - (this.#refetched.get(chunk) ?? -Infinity) < DISTRUST_MS) return false;
    }
    this.#doubts.push({ first, last });
    return true;
  }

  #isDoubted(first: number, last: number): boolean {
    return this.#doubts.some((each) => each.first <= last && first <= each.last);
  }

  /** Fetches the doubted bytes of the range again; null if there are none. */
  #fetchDoubted(first: number, last: number): Promise<void> | null {
    const doubted = this.#doubts.filter((each) => each.first <= last && first <= each.last);
    if (doubted.length === 0) return null;
    this.#doubts = this.#doubts.filter((each) => !doubted.includes(each));
    if (this.#refetched.size > MAX_DISTRUSTED) this.#refetched.clear();
    const now = monotonicMs();
    const fetched = doubted.map((each) => {
      for (let chunk = each.first; chunk <= each.last; chunk++) this.#refetched.set(chunk, now);
      return this.#fetcher.refetch(this.#blob, each.first, each.last);
    });
    return Promise.all(fetched).then(() => undefined);
  }

  #readFile(offset: number, length: number, dst: Uint8Array, at: number): boolean {
    return files.readAtHand(this.#fd, dst, at, length, offset) === length;
  }

  /** Piece by piece, because some chunks are in slots. */
  #readChunks(offset: number, length: number, dst: Uint8Array, at: number): boolean {
    for (let done = 0; done < length;) {
      const position = offset + done;
      const chunk = chunkOf(position);
      const within = position - chunk * CHUNK_SIZE;
      const n = Math.min(chunkLength(this.size, chunk) - within, length - done);
      const slot = this.#map.slotOf(chunk);
      const fd = slot < 0 ? this.#fd : this.#slotsFd;
      const from = slot < 0 ? position : slot * CHUNK_SIZE + within;
      if (files.readAtHand(fd, dst, at + done, n, from) !== n) return false;
      done += n;
    }
    return true;
  }

  #used(first: number, last: number): void {
    const map = this.#map;
    map.add(MAP_HITS);
    map.touch(first, last);
    const mark = map.takeMark(first, last);
    if (mark >= 0) this.#fetcher.hint(this.#blob, mark, mark);
  }

  #shortRead(offset: number, length: number): Error {
    return shortRead(this.name, offset, length, this.size - offset);
  }
}
