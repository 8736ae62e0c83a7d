// Keeps the folder within its limit and the disk above its minimum of free space. First go blobs that no
// process uses, the least recently used ones first, then chunks of open blobs that no read touched since the
// last round. If that is not enough, nothing more is stored.

import { statfs } from 'node:fs/promises';
import { CHUNK_SIZE, chunksOf } from '../blob/chunk-map.js';
import { HEAD_SIZE, remoteTail } from '../blob/edges.js';
import { messageOf } from '../errors.js';
import { monotonicMs } from '../lib/clock.js';
import { humanSize } from '../lib/format-size.js';
import { bounded } from './disk.js';
import type { FolderLock } from './folder-lock.js';
import type { CacheFolder } from './folder.js';
import type { Health } from './health.js';
import { isRecordUsed, removeRecord, scanRecords } from './record-files.js';
import { removeUnused, scanBlobs } from './scan.js';
import type { StoredBlob } from './stored-blob.js';

/** Eviction begins at this part of the limit, and ends at that one. */
const BEGIN_AT = 0.9;
const END_AT = 0.8;
/** After eviction, this multiple of the minimum is free. */
const FREE_AFTER = 1.25;
/** The free space is read again after this many written bytes, or this long after the disk was full. */
const LOOK_BYTES = 16 << 20;
const LOOK_MS = 5000;

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
  /** On disk. */
  readonly bytes: number;
  readonly lastUsed: number;
  /** @returns whether it is gone: a process may use it */
  remove(): Promise<boolean>;
}

export class Evictor {
  evictedBytes = 0;
  /** On disk, as far as is known. */
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
    const { limit, minFree } = this.settings;
    if (limit !== null && this.bytes >= limit) {
      return `${this.#folder.path}: the limit of ${humanSize(limit)} is reached, and all that is there is in use`;
    }
    if (this.#free - this.#sinceLook < minFree) {
      return `${this.#folder.path}: less than ${humanSize(minFree)} are free on its disk`;
    }
    return null;
  }

  hasRoom(): boolean {
    const { fullness } = this;
    if (fullness === null) return true;
    this.#health.isFull(fullness);
    if (monotonicMs() - this.#lookedAt > LOOK_MS) void this.run();
    return false;
  }

  stored(bytes: number): void {
    this.bytes += bytes;
    this.#sinceLook += bytes;
    if (this.#sinceLook >= LOOK_BYTES || this.#isOver()) void this.run();
  }

  freed(bytes: number): void {
    this.bytes = Math.max(0, this.bytes - bytes);
    this.evictedBytes += bytes;
  }

  /** Measures, and evicts nothing: no image is open yet, and any of them may be opened next. Never rejects. */
  async measure(): Promise<void> {
    try {
      await this.#look();
      const bytes = sumOf(await this.#scan());
      if (!this.#running) this.bytes = bytes;
    } catch (error) {
      this.#health.failed(messageOf(error));
    }
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

  #isOver(): boolean {
    const { limit, minFree } = this.settings;
    const isOver = limit !== null && this.bytes >= limit * BEGIN_AT;
    return isOver || this.#free - this.#sinceLook < minFree;
  }

  /** Bytes that must go. */
  #excess(): number {
    if (!this.#isOver()) return 0;
    const { limit, minFree } = this.settings;
    const overLimit = limit === null ? 0 : this.bytes - limit * END_AT;
    const overDisk = this.#free < minFree ? minFree * FREE_AFTER - this.#free : 0;
    return Math.max(0, overLimit, overDisk);
  }

  async #look(): Promise<void> {
    this.#lookedAt = monotonicMs();
    const { path } = this.#folder;
    const { bavail, bsize } = await bounded(path, () => statfs(path));
    this.#free = bavail * bsize;
    this.#sinceLook = 0;
  }

  /** Blobs, and records of layers. */
  async #scan(): Promise<Removable[]> {
    const blobs = await scanBlobs(this.#folder);
    const records = await scanRecords(this.#folder);
    return [
      ...blobs.map((blob) => ({ ...blob, remove: () => removeUnused(this.#lock, blob) })),
      ...records.map((record) => ({
        ...record,
        remove: async () => {
          if (await isRecordUsed(record, blobs)) return false;
          await removeRecord(record);
          return true;
        },
      })),
    ];
  }

  async #run(): Promise<void> {
    await this.#look();
    const found = await this.#scan();
    this.bytes = sumOf(found);
    let excess = this.#excess();
    for (const each of found.toSorted((a, b) => a.lastUsed - b.lastUsed)) {
      if (excess <= 0) return;
      // oxlint-disable-next-line no-await-in-loop
      if (!(await each.remove())) continue;
      this.freed(each.bytes);
      excess -= each.bytes;
    }
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
    await this.#look();
  }
}

function sumOf(found: readonly Removable[]): number {
  return found.reduce((sum, { bytes }) => sum + bytes, 0);
}
