// One open blob of the cache, in the thread of the fetcher: which chunks are present, who fetches them, where they
// go. The order makes it safe. Storing: data, record, bit. Clearing: bit, generation, record, hole.

import type { ChunkDigests } from '../blob/chunk-digests.js';
import { fileExists } from '../blob/file-jobs.js';
import { chunkLength, CHUNK_SIZE, chunksOf, ChunkMap } from '../blob/chunk-map.js';
import type { CachedSpec } from '../blob/cached-source.js';
import { messageOf } from '../errors.js';
import { errorOf } from '../lib/fault.js';
import { ETIMEDOUT, errnoText } from '../lib/errno.js';
import { closeBlobFiles, USERS_LOCK, type BlobFiles } from './blob-files.js';
import type { BlobContext } from './blob-context.js';
import type { CachedBlob, Completion } from './cached-blob.js';
import { checkChunk, compareChunk } from './chunk-check.js';
import { MAX_WAITING_BYTES, writeChunk } from './chunk-writer.js';
import { Claims } from './claims.js';
import {
  closeCacheFile,
  lockExclusive,
  lockShared,
  punchRange,
  unlock,
  type CacheFile,
} from './disk.js';
import { runsOf } from './runs.js';
import { RECORD_SIZE, recordPosition } from './state-file.js';

/** Chunks that are cleared by one job. */
const MOST_CLEARED = 4096;

/** A chunk that is being fetched, written or cleared. */
interface Turn {
  /** Whether this process has the lock of the record. */
  readonly isLocked: boolean;
  isDropped: boolean;
}

export class StoredBlob implements CachedBlob {
  readonly spec: CachedSpec;
  readonly map: ChunkMap;
  readonly chunks: number;
  readonly #context: BlobContext;
  readonly #turns = new Map<number, Turn>();
  /** Writes that go on after their chunk is present. */
  readonly #late = new Set<Promise<void>>();
  readonly #checks = new Map<number, Promise<boolean>>();
  /** Null: the blob has no records. */
  readonly #claims: Claims | null;
  readonly #files: BlobFiles | null;
  /** The chunks in the file are right, but no new ones may go there: a late job may still punch a hole. */
  #isFrozen = false;
  /** The same for a while. */
  #isUnsettled = false;
  #hasNoHoles = false;
  /** What each chunk must be; null: that is not known. */
  #digests: ChunkDigests | null = null;
  #isClosed = false;
  #jobs = 0;
  #isClosing = false;

  /**
   * @param files null: chunks of this blob are kept in memory only
   * @param adopted what the readers of a store that died go on with
   */
  constructor(
    context: BlobContext,
    name: Pick<CachedSpec, 'blob' | 'digest' | 'name' | 'size'>,
    files: BlobFiles | null,
    adopted: CachedSpec | null = null,
  ) {
    this.#context = context;
    this.#files = files;
    this.chunks = chunksOf(name.size);
    const partial = files?.partial ?? null;
    this.#claims = partial && new Claims(name.digest, partial);
    if (adopted) {
      this.map = new ChunkMap(adopted.state, name.size);
      this.spec = adopted;
      this.#isUnsettled = true;
      return;
    }
    this.map = ChunkMap.create(name.size);
    const { fd: slotsFd } = context.slots;
    const fd = files?.data.fd ?? slotsFd;
    this.spec = { kind: 'cached', ...name, fd, slotsFd, state: this.map.state };
    if (files && !partial) {
      for (let chunk = 0; chunk < this.chunks; chunk++) this.map.set(chunk);
      this.map.setComplete(true);
    }
  }

  /** The file may be written: no job of the store that died can punch a hole any more. */
  settle(): void {
    this.#isUnsettled = false;
  }

  get isCompared(): boolean {
    return this.map.isComplete || this.#digests !== null;
  }

  setDigests(digests: ChunkDigests, generation: number | null): void {
    const { map } = this;
    const isNew = !this.#digests?.equals(digests);
    this.#digests = digests;
    if (!isNew || map.isComplete || map.generation === generation || this.chunks === 0) return;
    // What is in the file is checked when it is wanted, or before that by the store.
    map.clear(0, this.chunks - 1);
    this.#context.slots.release(map, 0, this.chunks - 1);
    for (const turn of this.#turns.values()) turn.isDropped = true;
  }

  async present(chunk: number): Promise<boolean> {
    if (this.map.has(chunk)) return true;
    const checking = this.#checks.get(chunk);
    if (checking) return checking;
    const record = this.#turns.has(chunk) ? -1 : this.#claim(chunk);
    if (record < 0) return false;
    const check = this.#check(chunk, record);
    this.#checks.set(chunk, check);
    try {
      return await check;
    } finally {
      this.#checks.delete(chunk);
    }
  }

  begin(chunk: number, alone = false): boolean {
    if (this.map.has(chunk) || this.#turns.has(chunk) || this.#checks.has(chunk)) return false;
    const state = this.#writableState();
    const isLocked = state !== null && lockExclusive(state.fd, recordPosition(chunk), RECORD_SIZE);
    if (state && !isLocked && !alone) return false;
    if (isLocked && this.#claim(chunk) >= 0) {
      unlock(state.fd, recordPosition(chunk), RECORD_SIZE);
      return false;
    }
    this.#turns.set(chunk, { isLocked, isDropped: false });
    return true;
  }

  async write(chunk: number, bytes: Uint8Array): Promise<void> {
    const turn = this.#turns.get(chunk);
    const length = chunkLength(this.spec.size, chunk);
    if (!turn || bytes.length !== length) {
      const facts = { blob: this.spec.name, section: `chunk ${chunk}`, got: bytes.length };
      const why = `${bytes.length} bytes of ${length} written, begun: ${turn !== undefined}`;
      throw errorOf('BUG', { ...facts, expected: `${length}` }, why);
    }
    if (this.#digests) checkChunk(this.#digests, this.spec, chunk, bytes);
    const context = this.#context;
    const measured = turn.isLocked && !turn.isDropped ? context.measured() : null;
    if (measured && context.waitingBytes + length <= MAX_WAITING_BYTES) {
      // Nobody waits for a look at all files of the folder: until then readers have it from memory.
      const copy = Buffer.from(bytes);
      context.slots.put(this.map, chunk, bytes);
      context.waitingBytes += length;
      const late: Promise<void> = measured
        .then(() => void (context.waitingBytes -= length))
        .then(() => this.#keep(chunk, copy, turn))
        .catch((error: unknown) => context.health.failed(messageOf(error)))
        .finally(() => this.#late.delete(late));
      this.#late.add(late);
      void this.#job(late);
      return;
    }
    await this.#keep(chunk, bytes, turn);
  }

  /** Takes a chunk into the file, or into memory if that is not possible, and ends its turn. */
  async #keep(chunk: number, bytes: Uint8Array, turn: Turn): Promise<void> {
    const { map } = this;
    const { slots } = this.#context;
    try {
      const isStored = turn.isLocked && !turn.isDropped && (await this.#store(chunk, bytes));
      if (turn.isDropped) {
        if (isStored) await this.#clearFile(chunk, chunk, 0);
      } else if (isStored) {
        if (map.has(chunk)) {
          // A reader of the slot sees another generation, and looks again.
          map.clear(chunk, chunk);
          slots.release(map, chunk, chunk);
        }
        map.set(chunk);
      } else if (!map.has(chunk) && !this.#isClosing) {
        slots.put(map, chunk, bytes);
      }
    } finally {
      this.giveUp(chunk);
    }
  }

  giveUp(chunk: number): void {
    const turn = this.#turns.get(chunk);
    if (!turn) return;
    this.#turns.delete(chunk);
    const state = this.#files?.partial?.state;
    if (turn.isLocked && state) unlock(state.fd, recordPosition(chunk), RECORD_SIZE);
  }

  drop(firstChunk: number, lastChunk: number): void {
    const { map } = this;
    if (this.#isClosing) return;
    if (map.isComplete && this.#files) {
      // Its file has no records any more, so chunks that are fetched now go to memory.
      this.#isFrozen = true;
      this.#context.distrust(this.#files);
    }
    map.setComplete(false);
    map.clear(firstChunk, lastChunk);
    this.#context.slots.release(map, firstChunk, lastChunk);
    const free: number[] = [];
    for (let chunk = firstChunk; chunk <= lastChunk; chunk++) {
      const turn = this.#turns.get(chunk);
      if (turn) turn.isDropped = true;
      else free.push(chunk);
    }
    for (const [first, last] of runsOf(free)) void this.#forget(first, last, false);
  }

  async complete(): Promise<Completion> {
    const { map } = this;
    // oxlint-disable-next-line no-await-in-loop
    while (this.#late.size > 0) await Promise.all(this.#late);
    if (map.isComplete) return 'complete';
    if (!map.hasAll(0, this.chunks - 1)) return 'missing';
    if (!this.#files || this.#writableState() === null) return 'in memory';
    for (let chunk = 0; chunk < this.chunks; chunk++) {
      if (map.slotOf(chunk) >= 0) return 'in memory';
    }
    const { generation } = map;
    const found = await this.#job(this.#context.finish(this, this.#files));
    if (found !== 'complete') return found;
    if (map.generation !== generation) return 'missing';
    map.setComplete(true);
    return found;
  }

  release(): void {
    this.#context.released(this);
  }

  /** The next chunk from `chunk` to `last` that has a record that is not checked; -1: there is none. */
  nextClaim(chunk: number, last: number): number {
    return this.#claims && !this.#isClosing ? this.#claims.next(chunk, last, this.map) : -1;
  }

  /**
   * Gives the bytes of chunks back to the disk, if no other process uses the blob.
   * @param isFree whether a chunk may go
   * @returns bytes that are free now
   */
  async evict(isFree: (chunk: number) => boolean, most: number): Promise<number> {
    const files = this.#files;
    if (!files || this.#writableState() === null || this.map.isComplete || this.#hasNoHoles)
      return 0;
    return this.#job(this.#context.alone(files, () => this.#evictAlone(files, isFree, most)));
  }

  async #evictAlone(
    { data }: BlobFiles,
    isFree: (chunk: number) => boolean,
    most: number,
  ): Promise<number> {
    if (this.#isClosing || !lockExclusive(data.fd, USERS_LOCK)) return 0;
    try {
      // Without its first name it was completed by another process: no hole may be in it.
      this.#hasNoHoles = !(await fileExists(data.path));
      let bytes = 0;
      for (const [first, last] of this.#hasNoHoles ? [] : this.#choose(isFree, most)) {
        if (this.#hasNoHoles || !this.#mayEvictAll(first, last)) continue;
        this.map.clear(first, last);
        // oxlint-disable-next-line no-await-in-loop
        if (await this.#forget(first, last, true)) bytes += (last - first + 1) * CHUNK_SIZE;
      }
      return bytes;
    } finally {
      lockShared(data.fd, USERS_LOCK);
    }
  }

  #choose(isFree: (chunk: number) => boolean, most: number): [number, number][] {
    const chosen: number[] = [];
    for (let chunk = 0; chunk < this.chunks && chosen.length * CHUNK_SIZE < most; chunk++) {
      if (this.#mayEvict(chunk) && isFree(chunk)) chosen.push(chunk);
    }
    return runsOf(chosen);
  }

  #mayEvict(chunk: number): boolean {
    return this.map.has(chunk) && this.map.slotOf(chunk) < 0 && !this.#turns.has(chunk);
  }

  #mayEvictAll(first: number, last: number): boolean {
    for (let chunk = first; chunk <= last; chunk++) if (!this.#mayEvict(chunk)) return false;
    return !this.map.isComplete;
  }

  /** After all readers have ended. */
  close(): void {
    this.#isClosing = true;
    this.map.clear(0, this.chunks - 1);
    this.#context.slots.release(this.map, 0, this.chunks - 1);
    this.#closeIfIdle();
  }

  /** The state file, if data and records may be written. */
  #writableState(): CacheFile | null {
    if (this.#isFrozen || this.#isUnsettled || this.#isClosing) return null;
    return this.#files?.partial?.state ?? null;
  }

  async #job<T>(work: Promise<T>): Promise<T> {
    this.#jobs++;
    try {
      return await work;
    } finally {
      this.#jobs--;
      this.#closeIfIdle();
    }
  }

  #closeIfIdle(): void {
    if (!this.#isClosing || this.#isClosed || this.#jobs > 0) return;
    this.#isClosed = true;
    if (this.#files) closeBlobFiles(this.#files);
    else if (this.spec.fd !== this.spec.slotsFd) closeCacheFile(this.spec.fd);
  }

  /** The CRC that the record of a chunk says; -1: there is none, or it is known to be wrong. */
  #claim(chunk: number): number {
    const state = this.#writableState();
    return state && this.#claims ? this.#claims.of(chunk, state.fd) : -1;
  }

  async #check(chunk: number, record: number): Promise<boolean> {
    const { map, spec } = this;
    const { generation } = map;
    const seed = this.#claims?.format.seed(chunk) ?? 0;
    const digests = this.#digests;
    const comparison = compareChunk(spec, chunk, { crc: record, seed }, digests);
    const result = await this.#job(comparison);
    if (map.generation !== generation || this.#isClosing) return map.has(chunk);
    if (result === 0) {
      map.set(chunk);
      return true;
    }
    this.#claims?.reject(chunk, record);
    if (result > 0) this.#context.corrupt++;
    else this.#context.health.failed(`read ${spec.name}: ${errnoText(-result)}`);
    return false;
  }

  /** @returns whether the file has it */
  async #store(chunk: number, bytes: Uint8Array): Promise<boolean> {
    const context = this.#context;
    const measured = context.measured();
    if (measured) await this.#job(measured);
    const state = this.#writableState();
    if (!state || !this.#claims) return false;
    return this.#job(writeChunk({ context, claims: this.#claims, state }, this.spec, chunk, bytes));
  }

  /** Call this after the bits were cleared. No process begins a chunk until its record is gone. */
  async #forget(first: number, last: number, punch: boolean): Promise<boolean> {
    const turn: Turn = { isLocked: false, isDropped: false };
    for (let chunk = first; chunk <= last; chunk++) this.#turns.set(chunk, turn);
    try {
      return await this.#clearFile(first, last, punch ? CHUNK_SIZE : 0);
    } finally {
      for (let chunk = first; chunk <= last; chunk++) this.#turns.delete(chunk);
    }
  }

  /** @param hole bytes of a chunk that are given back: all or none. @returns whether it is done */
  async #clearFile(first: number, last: number, hole: number): Promise<boolean> {
    const state = this.#files?.partial?.state;
    if (!state || !this.#claims || this.#isClosed) return false;
    const { fd, size } = this.spec;
    for (let at = first; at <= last; at += MOST_CLEARED) {
      const count = Math.min(MOST_CLEARED, last - at + 1);
      const position = at * CHUNK_SIZE;
      const length = Math.min(count * hole, size - position);
      const records = { fd: state.fd, position: recordPosition(at), length: count * RECORD_SIZE };
      this.#claims.cleared(at, count);
      // oxlint-disable-next-line no-await-in-loop
      const result = await this.#job(punchRange({ fd, position, length }, records));
      if (result >= 0) continue;
      // The job may still run, and would destroy what is written into the file from now on.
      if (result === -ETIMEDOUT) this.#isFrozen = true;
      if (hole > 0) this.#hasNoHoles = true;
      this.#context.health.failed(`punch ${this.spec.name}: ${errnoText(-result)}`);
      return false;
    }
    if (hole > 0) this.#context.freed((last - first + 1) * hole);
    return true;
  }
}
