// Keeps the folder within its limit and the disk above its minimum of free space. First go blobs and decoded copies that no
// process uses, the least recently used ones first, then chunks of open blobs that no read touched since the
// last round, then records of layers that no process uses. If that is not enough, nothing more is stored.

import { lstat } from 'node:fs/promises';
import { CHUNK_SIZE, chunksOf } from '../blob/chunk-map.js';
import { HEAD_SIZE, remoteTail } from '../blob/edges.js';
import { messageOf } from '../errors.js';
import { monotonicMs } from '../lib/clock.js';
import { humanSize } from '../lib/format-size.js';
import { bounded, freeBytes } from './disk.js';
import type { FolderLock } from './folder-lock.js';
import { GrowingFiles } from './growing-files.js';
import type { CacheFolder } from './folder.js';
import type { Health } from './health.js';
import { isRecordUsed, removeRecord, scanRecords, type FoundRecord } from './record-files.js';
import { bytesIn, removeUnused, scanBlobs, STAT_BLOCK, type FoundBlob } from './scan.js';
import type { StoredBlob } from './stored-blob.js';

/** Eviction begins at this part of the limit, and ends at that one. */
const BEGIN_AT = 0.9;
const END_AT = 0.8;
/** Beyond this part nothing is stored but manifests, and the headers of files of blobs. */
const FULL_AT = 0.98;
/** After eviction, this multiple of the minimum is free. */
const FREE_AFTER = 1.25;
/** The free space is read again after this many written bytes, or this long after the disk was full. */
const LOOK_BYTES = 16 << 20;
const LOOK_MS = 5000;
/** File systems store whole blocks. */
const BLOCK_BYTES = 4096;

/** These chunks of an open blob stay: its head, and as much of its end as opening needs. */
export const PINNED_HEAD = chunksOf(HEAD_SIZE);

export interface EvictorSettings {
  readonly limit: number | null;
  readonly minFree: number;
}

/**
 * The first chunk of the tail that stays while a blob is open.
 * @internal for its unit test
 */
export function pinnedTail(size: number): number {
  return Math.max(0, chunksOf(size) - Math.ceil(remoteTail(size) / CHUNK_SIZE) - 1);
}

/** What the folder has. */
interface Removable {
  readonly what: 'blob' | 'record';
  /** On disk. */
  readonly bytes: number;
  readonly lastUsed: number;
  /** @returns whether it is gone: a process may use it */
  remove(): Promise<boolean>;
}

export class Evictor {
  evictedBytes = 0;
  /** Whole ones. */
  readonly evicted = { blob: 0, record: 0 };
  /** On disk, or on their way there, as far as is known. */
  bytes = 0;
  settings: EvictorSettings;
  readonly #folder: CacheFolder;
  readonly #lock: FolderLock;
  readonly #health: Health;
  readonly #open: () => Iterable<StoredBlob>;
  #free = Number.POSITIVE_INFINITY;
  #sinceLook = 0;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #running: Promise<void> | null = null;
  /** Whether `bytes` is more than what came since the start. */
  #isScanned = false;
  #measuring: Promise<void> | null = null;
  readonly #growing = new GrowingFiles();
  /** Bytes that are on their way to the disk. */
  #onTheirWay = 0;
  /** All bytes that were begun, apart from those that failed. */
  #begun = 0;

  /** @param open blobs that are open in this process */
  constructor(
    where: { readonly folder: CacheFolder; readonly lock: FolderLock; readonly health: Health },
    settings: EvictorSettings,
    open: () => Iterable<StoredBlob>,
  ) {
    this.#folder = where.folder;
    this.#lock = where.lock;
    this.#health = where.health;
    this.settings = settings;
    this.#open = open;
  }

  /** Why nothing more is stored; null: there is room. */
  get fullness(): string | null {
    return this.#fullnessFor(CHUNK_SIZE);
  }

  /** @param room that is kept for files that grow */
  #fullnessFor(bytes: number, room = this.#keptRoom()): string | null {
    const { limit } = this.settings;
    if (limit !== null && this.bytes + room + bytes > limit * FULL_AT) {
      return `${this.#folder.path}: the limit of ${humanSize(limit)} is reached, and all that is there is in use`;
    }
    const mustBeFree = this.settings.minFree + room;
    if (this.#free - this.#sinceLook < mustBeFree) {
      return `${this.#folder.path}: less than ${humanSize(mustBeFree)} are free on its disk`;
    }
    return null;
  }

  /**
   * Counts bytes before they are written: others may be on their way at the same time. Then call `stored` or `notStored`.
   * @returns false, and nothing is counted, if there is no room for them
   */
  begin(bytes: number): boolean {
    const onDisk = blocksOf(bytes);
    const fullness = this.#fullnessFor(onDisk);
    if (fullness === null) {
      this.bytes += onDisk;
      this.#sinceLook += onDisk;
      this.#onTheirWay += onDisk;
      this.#begun += onDisk;
      return true;
    }
    this.#health.isFull(fullness);
    if (monotonicMs() - this.#lookedAt > LOOK_MS) void this.run();
    return false;
  }

  stored(bytes: number): void {
    this.#onTheirWay -= blocksOf(bytes);
    if (this.#sinceLook >= LOOK_BYTES || this.#isOver()) void this.run();
  }

  notStored(bytes: number): void {
    const onDisk = blocksOf(bytes);
    this.#onTheirWay -= onDisk;
    this.#begun -= onDisk;
    this.bytes = Math.max(0, this.bytes - onDisk);
  }

  freed(bytes: number): void {
    this.bytes = Math.max(0, this.bytes - bytes);
    this.evictedBytes += bytes;
  }

  /** Measures, and evicts nothing: no image is open yet, and any of them may be opened next. Never rejects. */
  measure(): Promise<void> {
    this.#measuring ??= this.#look()
      .then(() => this.#scan())
      .then(() => undefined)
      .catch((error: unknown) => this.#health.failed(messageOf(error)))
      .finally(() => {
        this.#measuring = null;
      });
    return this.#measuring;
  }

  /** Null: it is known what the folder has. Until then nothing is stored if there is a limit. Never rejects. */
  get measured(): Promise<void> | null {
    return this.settings.limit === null ? null : this.#measuring;
  }

  /** Measures, and evicts if that is needed. Never rejects. */
  run(): Promise<void> {
    this.#running ??= this.#run()
      .catch((error: unknown) => this.#health.failed(messageOf(error)))
      .finally(() => {
        this.#running = null;
      });
    return this.#running;
  }

  /**
   * Makes room for a file that is worth more than chunks, within the limit and on the disk, and keeps it for a minute. Never
   * rejects.
   * @param bytes that the file is going to have beside those that it has
   * @param file its path: another call for it takes the place of this one
   * @returns why there is no room; null: there is
   */
  async makeRoom(bytes: number, file: string): Promise<string | null> {
    // A copy asks for each of its steps, and a round looks at all files of the folder: this one is looked at alone.
    const has = bytes === 0 ? 0 : await bytesOnDisk(file);
    this.bytes += bytes === 0 ? this.#growing.end(file) : this.#growing.grow(file, bytes, has);
    // One that has begun may not know of it.
    await this.#running;
    await this.measured;
    if (bytes > 0) {
      await this.#look().catch((error: unknown) => this.#health.failed(messageOf(error)));
    }
    if (bytes === 0 || !this.#isScanned || this.#isOver()) await this.run();
    this.bytes += this.#growing.expire();
    const fullness = this.#fullnessFor(0, this.#growing.roomUpTo(file));
    this.#growing.decide(file, fullness === null);
    return fullness;
  }

  /** Bytes. */
  #mustBeFree(): number {
    return this.settings.minFree + this.#keptRoom();
  }

  /** For files that grow. */
  #keptRoom(): number {
    this.bytes += this.#growing.expire();
    return this.#growing.room;
  }

  #isOver(): boolean {
    const { limit } = this.settings;
    const room = this.#keptRoom();
    const isOver = limit !== null && this.bytes + room >= limit * BEGIN_AT;
    return isOver || this.#free - this.#sinceLook < this.#mustBeFree();
  }

  /** Bytes that must go. */
  #excess(): number {
    if (!this.#isOver()) return 0;
    const { limit } = this.settings;
    const mustBeFree = this.#mustBeFree();
    const wanted = this.#keptRoom() + this.bytes;
    const overLimit = limit === null ? 0 : wanted - limit * END_AT;
    const overDisk = this.#free < mustBeFree ? mustBeFree * FREE_AFTER - this.#free : 0;
    return Math.max(0, overLimit, overDisk);
  }

  async #look(): Promise<void> {
    this.#lookedAt = monotonicMs();
    this.#free = await freeBytes(this.#folder.path);
    this.#sinceLook = 0;
  }

  /** Looks at all files. What is on its way meanwhile counts, whether its file was looked at before or after it arrived. */
  async #scan(): Promise<{ readonly blobs: FoundBlob[]; readonly records: FoundRecord[] }> {
    const before = this.#begun - this.#onTheirWay;
    const blobs = await scanBlobs(this.#folder);
    const records = await scanRecords(this.#folder);
    const manifests = await bytesIn(this.#folder.manifests);
    this.bytes = sumOf(blobs) + sumOf(records) + manifests + this.#begun - before;
    for (const { path, bytes } of records) this.#growing.count(path, bytes);
    this.#isScanned = true;
    return { blobs, records };
  }

  async #run(): Promise<void> {
    await this.#look();
    const { blobs, records } = await this.#scan();
    const small = records.filter(({ isCopy }) => !isCopy);
    const large: Removable[] = [
      ...blobs.map((blob) => ({
        ...blob,
        what: 'blob' as const,
        remove: () => removeUnused(this.#lock, blob),
      })),
      ...removables(
        records.filter(({ isCopy }) => isCopy),
        blobs,
      ),
    ];
    let excess = this.#excess();
    excess -= await this.#remove(large, excess);
    // Twice: the first round takes the touches.
    for (let round = 0; round < 2; round++) {
      for (const blob of this.#open()) {
        if (excess <= 0) break;
        const { map, spec } = blob;
        const tail = pinnedTail(spec.size);
        const isFree = (chunk: number): boolean =>
          chunk >= PINNED_HEAD && chunk < tail && !map.takeTouch(chunk);
        // oxlint-disable-next-line no-await-in-loop
        excess -= await blob.evict(isFree, excess);
      }
    }
    // A record is small, and without it all of its layer is read again.
    await this.#remove(removables(small, blobs), excess);
    await this.#look();
  }

  /**
   * Removes those that were used least recently.
   * @param most enough bytes
   * @returns bytes that this freed
   */
  async #remove(found: readonly Removable[], most: number): Promise<number> {
    let freed = 0;
    for (const each of found.toSorted((a, b) => a.lastUsed - b.lastUsed)) {
      if (freed >= most) break;
      // oxlint-disable-next-line no-await-in-loop
      if (!(await each.remove())) continue;
      this.freed(each.bytes);
      this.evicted[each.what]++;
      freed += each.bytes;
    }
    return freed;
  }
}

/** @param blobs all of the folder */
function removables(records: readonly FoundRecord[], blobs: readonly FoundBlob[]): Removable[] {
  return records.map((record) => ({
    ...record,
    what: 'record',
    remove: async () => {
      if (await isRecordUsed(record, blobs)) return false;
      await removeRecord(record);
      return true;
    },
  }));
}

/** What a chunk takes: its record may be the first in its block. A round counts it as it is. */
function blocksOf(bytes: number): number {
  return Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES + BLOCK_BYTES;
}

/** Of a file that another thread writes; 0 if it is not there. */
async function bytesOnDisk(path: string): Promise<number> {
  try {
    return (await bounded(path, () => lstat(path))).blocks * STAT_BLOCK;
  } catch {
    return 0;
  }
}

function sumOf(found: readonly Pick<Removable, 'bytes'>[]): number {
  return found.reduce((sum, { bytes }) => sum + bytes, 0);
}
