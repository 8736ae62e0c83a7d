// The cache of blobs, in the thread of the fetcher: opens blobs, keeps their files within the limits, and says
// how the cache is.

import { fdatasync, fstatSync } from 'node:fs';
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { describeRef, type RegistryRef } from '../blob/blob-ref.js';
import type { CachedSpec } from '../blob/cached-source.js';
import { ChunkMap } from '../blob/chunk-map.js';
import type { RegistrySettings } from '../config/registry-settings.js';
import { codeOf, messageOf } from '../errors.js';
import { errorOf } from '../lib/fault.js';
import type { Logger } from '../log/logger.js';
import { files as nativeFiles } from '../native/file.js';
import type { BlobContext } from './blob-context.js';
import {
  closeBlobFiles,
  nameComplete,
  openBlobFiles,
  removeFiles,
  type BlobFiles,
} from './blob-files.js';
import type {
  CacheCheck,
  CachedBlob,
  Completion,
  CacheEntry,
  CacheStatus,
  Collected,
} from './cached-blob.js';
import { bounded, closeCacheFile, hashFile } from './disk.js';
import { Evictor } from './evictor.js';
import { FolderLock } from './folder-lock.js';
import { prepareFolder } from './folder-owner.js';
import { defaultCacheFolder, type CacheFolder } from './folder.js';
import { foreignLog, type ForeignReport } from './foreign.js';
import { Health } from './health.js';
import { collectGarbage, listCache, removeFromCache, verifyCache } from './maintenance.js';
import { ManifestCache } from './manifests.js';
import { touchFile } from './small-files.js';
import { Slots } from './slots.js';
import { StoredBlob } from './stored-blob.js';

export type CacheSettings = Pick<RegistrySettings, 'cacheFolder' | 'cacheMinFree' | 'cacheSize'>;

/** Between two chunks that are checked before a read wants them: at most 32 MB/s. */
const VERIFY_PAUSE_MS = 2;
/** Chunks whose records are looked at before other work gets a turn: less than a millisecond. */
const CLAIMS_A_TURN = 16_384;

/**
 * Images that were open before this start may be opened again within this time. Until then the store evicts only to
 * make room for new chunks.
 */
const FIRST_EVICTION_MS = 60_000;

/** The folder, if it can be used. */
interface Place {
  readonly folder: CacheFolder;
  readonly lock: FolderLock;
  readonly evictor: Evictor;
}

interface OpenBlob {
  readonly blob: StoredBlob;
  readonly files: BlobFiles | null;
  users: number;
}

export class CacheStore {
  readonly manifests: ManifestCache;
  readonly #log: Logger;
  readonly #health: Health;
  readonly #slots: Slots;
  readonly #place: Place | null;
  /** By digest. */
  readonly #blobs = new Map<string, Promise<OpenBlob>>();
  readonly #open = new Map<CachedBlob, OpenBlob>();
  readonly #context: BlobContext;
  readonly #firstEviction: NodeJS.Timeout;
  #lastBlob = 0;
  #isClosed = false;

  private constructor(settings: CacheSettings, log: Logger, health: Health, opened: Opened | null) {
    this.#log = log;
    this.#health = health;
    this.#slots = new Slots();
    this.#place = opened && {
      ...opened,
      evictor: new Evictor({ ...opened, health }, limitsOf(settings), () => this.#openBlobs()),
    };
    this.#firstEviction = setTimeout(() => {
      void this.#place?.evictor.run();
    }, FIRST_EVICTION_MS).unref();
    this.manifests = new ManifestCache(opened?.folder ?? null, health);
    this.#context = this.#contextOf(this.#place);
  }

  /**
   * Opens the folder, and makes it if it is not there. Without a folder that can be used, chunks are kept in
   * memory.
   * @throws OverlaybdError IO if there is no memory, either
   */
  static async open(settings: CacheSettings, log: Logger): Promise<CacheStore> {
    const health = new Health(log);
    const path = settings.cacheFolder ?? defaultCacheFolder(process.env);
    let opened: Opened | null = null;
    if (path === null) {
      health.failed('there is no folder: neither CACHE_DIRECTORY, XDG_CACHE_HOME nor HOME is set');
    } else {
      try {
        opened = await openFolder(path, foreignLog(log));
      } catch (error) {
        health.failed(`${path}: ${messageOf(error)}`);
      }
    }
    const store = new CacheStore(settings, log, health, opened);
    void store.#place?.evictor.measure();
    return store;
  }

  /**
   * Every call needs a `release` of its own. Never rejects because of the disk.
   * @param spec of a fetcher that died: its readers go on with the number, the descriptors and the map, so the
   *   blob keeps them, and no other gets the number. All of its blobs must be asked for in one turn, before
   *   anything else
   * @throws OverlaybdError BUG if they are not
   */
  async blob(ref: RegistryRef, spec?: CachedSpec): Promise<CachedBlob> {
    const key = `${ref.digest} ${ref.size}`;
    let opening = this.#blobs.get(key);
    if (!opening) {
      opening = this.#openBlob(ref, spec ?? null);
      this.#blobs.set(key, opening);
      opening.catch(() => this.#blobs.delete(key));
    }
    const open = await opening;
    // It may have been closed while this waited.
    if (!this.#open.has(open.blob)) return this.blob(ref, spec);
    open.users++;
    return open.blob;
  }

  /** Takes other limits. Another folder is used from the next start on. */
  update(settings: CacheSettings): void {
    if (!this.#place) return;
    this.#place.evictor.settings = limitsOf(settings);
    void this.#place.evictor.run();
  }

  status(): CacheStatus {
    const evictor = this.#place?.evictor;
    return {
      folder: this.#place?.folder.path ?? null,
      degraded: this.#health.reason ?? evictor?.fullness ?? null,
      bytes: evictor?.bytes ?? 0,
      limit: evictor?.settings.limit ?? null,
      blobs: this.#open.size,
      evictedBytes: evictor?.evictedBytes ?? 0,
      corrupt: this.#context.corrupt,
      writeErrors: this.#health.writeErrors,
    };
  }

  /** @throws OverlaybdError IO */
  async list(): Promise<CacheEntry[]> {
    return this.#place ? listCache(this.#place.folder) : [];
  }

  /** @throws OverlaybdError BUSY if a process has it open, NOT_FOUND, IO */
  async remove(digest: string): Promise<void> {
    if (!this.#place) throw errorOf('NOT_FOUND', { digest }, 'there is no cache folder');
    await removeFromCache(this.#place.folder, this.#place.lock, digest);
    await this.#place.evictor.run();
  }

  /** Removes what nothing can use, and then evicts down to the limits. @throws OverlaybdError IO */
  async gc(): Promise<Collected> {
    if (!this.#place) return { freedBytes: 0, blobs: 0, records: 0 };
    const { folder, lock, evictor } = this.#place;
    const garbage = await collectGarbage(folder, lock);
    const { evictedBytes } = evictor;
    const { blob, record } = evictor.evicted;
    await evictor.run();
    return {
      freedBytes: garbage.freedBytes + evictor.evictedBytes - evictedBytes,
      blobs: garbage.blobs + evictor.evicted.blob - blob,
      records: garbage.records + evictor.evicted.record - record,
    };
  }

  /** See Evictor.makeRoom. */
  async makeRoom(bytes: number, file: string): Promise<string | null> {
    return this.#place ? this.#place.evictor.makeRoom(bytes, file) : null;
  }

  /** Checks every chunk that is kept. @throws OverlaybdError IO */
  async verify(checked?: (check: CacheCheck) => void): Promise<CacheCheck[]> {
    if (!this.#place) return [];
    return verifyCache(this.#place.folder, this.#place.lock, checked);
  }

  /** After all readers have ended. Idempotent: its descriptors may be those of others by then. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await Promise.allSettled(this.#blobs.values());
    for (const blob of this.#openBlobs()) blob.close();
    this.#open.clear();
    clearTimeout(this.#firstEviction);
    this.#place?.lock.close();
    this.#slots.close();
  }

  #openBlobs(): StoredBlob[] {
    return [...this.#open.values()].map(({ blob }) => blob);
  }

  async #openBlob(ref: RegistryRef, adopted: CachedSpec | null): Promise<OpenBlob> {
    if (adopted) {
      this.#slots.adopt(adopted.slotsFd, new ChunkMap(adopted.state, adopted.size));
      this.#lastBlob = Math.max(this.#lastBlob, adopted.blob);
    }
    const opened = await this.#openFiles(ref);
    const files = opened && adopted ? sameFiles(opened, adopted.fd) : opened;
    const { digest, size } = ref;
    const name = { name: describeRef(ref), digest, size, blob: ++this.#lastBlob };
    const blob = new StoredBlob(this.#context, name, files, adopted);
    if (adopted && files) void settleLater(blob, files.data.path);
    const open = { blob, files, users: 0 };
    this.#open.set(blob, open);
    if (files) void touchFile(files.data.path);
    if (files?.partial) void this.#verifyClaims(blob);
    return open;
  }

  /** @returns null if the disk does not give them: the blob is then kept in memory */
  async #openFiles(ref: RegistryRef): Promise<BlobFiles | null> {
    const place = this.#place;
    if (!place || this.#isClosed) return null;
    // It would wait for the disk until the deadline, as the last one did.
    if (this.#health.isStuck && !this.#health.mayTry()) return null;
    try {
      return await openBlobFiles(place.folder, place.lock, ref, foreignLog(this.#log));
    } catch (error) {
      const isOfDisk = codeOf(error) === 'IO' || codeOf(error) === 'BUSY';
      if (isOfDisk) this.#health.failed(messageOf(error));
      return null;
    }
  }

  #contextOf(place: Place | null): BlobContext {
    return {
      health: this.#health,
      slots: this.#slots,
      waitingBytes: 0,
      corrupt: 0,
      measured: () => place?.evictor.measured ?? null,
      begin: (bytes) => place?.evictor.begin(bytes) ?? false,
      notStored: (bytes) => place?.evictor.notStored(bytes),
      stored: (bytes) => place?.evictor.stored(bytes),
      freed: (bytes) => place?.evictor.freed(bytes),
      alone: (files, work) => (place ? place.lock.hold(files.digits, work) : work()),
      distrust: (files) => void this.#distrust(files),
      finish: (blob, files) => this.#finish(blob, files),
      released: (blob) => this.#released(blob),
    };
  }

  /** An opening of the same blob waits until this is done. */
  async #distrust({ digits, data }: BlobFiles): Promise<void> {
    const place = this.#place;
    if (!place) return;
    try {
      const paths = [place.folder.complete(digits), data.path];
      await place.lock.hold(digits, () => removeFiles(paths));
    } catch (error) {
      this.#health.failed(messageOf(error));
    }
  }

  async #finish(blob: CachedBlob, files: BlobFiles): Promise<Completion> {
    const { digest, name } = blob.spec;
    if (!this.#place) return 'in memory';
    try {
      if (`sha256:${await hashFile(files.data)}` !== digest) {
        this.#log.log('error', `${name}: its bytes do not have this digest; they are dropped`, {
          digest,
        });
        blob.drop(0, blob.chunks - 1);
        return 'wrong';
      }
      // The name says that all bytes are there, also after a power failure.
      await bounded(`write ${files.data.path}`, () => promisify(fdatasync)(files.data.fd));
      await nameComplete(this.#place.folder, this.#place.lock, files);
      return 'complete';
    } catch (error) {
      this.#health.failed(messageOf(error));
      return 'failed';
    }
  }

  #released(released: CachedBlob): void {
    const open = this.#open.get(released);
    if (!open || --open.users > 0) return;
    const { blob } = open;
    this.#open.delete(blob);
    this.#blobs.delete(`${blob.spec.digest} ${blob.spec.size}`);
    if (open.files && this.#place) {
      const { digits, data } = open.files;
      void touchFile(blob.map.isComplete ? this.#place.folder.complete(digits) : data.path);
    }
    blob.close();
  }

  /** Checks chunks before a read wants them, so that readers need not ask the fetcher. */
  async #verifyClaims(blob: StoredBlob): Promise<void> {
    for (let begin = 0; begin < blob.chunks; begin += CLAIMS_A_TURN) {
      // A blob of 1 TiB has 16,777,216 records: to look at all at once would hold up the thread.
      // oxlint-disable-next-line no-await-in-loop
      await nextTurn();
      if (!this.#open.has(blob)) return;
      const last = Math.min(begin + CLAIMS_A_TURN, blob.chunks) - 1;
      // oxlint-disable-next-line no-await-in-loop
      await verifyRange(blob, begin, last);
    }
  }
}

async function verifyRange(blob: StoredBlob, first: number, last: number): Promise<void> {
  for (let chunk = first; (chunk = blob.nextClaim(chunk, last)) >= 0; chunk++) {
    // oxlint-disable-next-line no-await-in-loop
    await blob.present(chunk);
    // oxlint-disable-next-line no-await-in-loop
    await pause(VERIFY_PAUSE_MS, undefined, { ref: false });
  }
}

/**
 * The files of a blob whose readers go on with a descriptor of the data file.
 * @returns null if it is another file by now
 */
function sameFiles(files: BlobFiles, fd: number): BlobFiles | null {
  const found = fstatSync(files.data.fd);
  const known = fstatSync(fd);
  if (found.ino !== known.ino || found.dev !== known.dev) {
    closeBlobFiles(files);
    return null;
  }
  // One descriptor, so that its locks are those of one user.
  closeCacheFile(files.data.fd);
  return { ...files, data: { ...files.data, fd } };
}

/** The jobs of a store that died end within their deadline, or are stuck. */
async function settleLater(blob: StoredBlob, path: string): Promise<void> {
  do {
    // oxlint-disable-next-line no-await-in-loop
    await pause(nativeFiles.deadline() * 1.5, undefined, { ref: false });
  } while (nativeFiles.stuckJobs().some((job) => job.path === path));
  blob.settle();
}

type Opened = Pick<Place, 'folder' | 'lock'>;

/** @throws OverlaybdError IO, PERMISSION */
async function openFolder(path: string, report: ForeignReport): Promise<Opened> {
  const folder = await prepareFolder(path);
  return { folder, lock: await FolderLock.open(folder, report) };
}

function limitsOf({ cacheSize, cacheMinFree }: CacheSettings): {
  limit: number | null;
  minFree: number;
} {
  return { limit: cacheSize, minFree: cacheMinFree };
}
