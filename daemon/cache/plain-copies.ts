// Decoded copies of layers whose compressed form cannot be read from the middle: files of the cache beside the records. A copy
// that is gone costs another reading of its layer, as a record does.

import { randomBytes } from 'node:crypto';
import { lstat, open, readlink, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { OverlaybdError } from '../errors.js';
import { monotonicMs } from '../lib/clock.js';
import { humanSize } from '../lib/format-size.js';
import { USERS_LOCK } from './blob-files.js';
import { bounded, freeBytes, lockShared } from './disk.js';
import type { CacheFolder } from './folder.js';
import { prepareFolder } from './folder-owner.js';
import { KEPT_MS } from './growing-files.js';
import {
  copyPath,
  isRecordUsed,
  makeRoomFor,
  scanRecords,
  type RecordKey,
} from './record-files.js';
import { STAT_BLOCK } from './scan.js';
import { makeFolders, touchFile } from './small-files.js';

/** Bytes on disk of all copies, if the cache has no limit; otherwise a half of that. */
const MAX_COPIES = 64 * 2 ** 30;
const PART_OF_CACHE = 2;
/** Written bytes between two waits for the disk: a slow one must have written them within the deadline of one call. */
const SYNC_BYTES = 16 << 20;
/** Written bytes between two looks for room, at most this part of what copies may have, and how much is made at once. */
const LOOK_BYTES = 16 << 20;
const LOOKS = 16;
const ROOM_BYTES = 64 << 20;

interface CopiesPlace {
  readonly folder: string;
  readonly limit: number | null;
  /** Bytes that stay free on the disk; absent: none. */
  readonly minFree?: number;
  /** Copies that are damaged, and open in this process. */
  readonly mends?: readonly { readonly path: string; readonly fd: number }[];
}

/** @returns why there is no room; null: there is */
type MakeRoom = (bytes: number, file: string) => Promise<string | null>;

export class PlainCopies {
  readonly #place: CopiesPlace;
  readonly #makeRoom: MakeRoom | null;
  #folder: Promise<CacheFolder> | null = null;

  /**
   * @param makeRoom counts what a copy is going to have, and has chunks evicted if the cache or its disk has no room for it; null:
   *   nothing can be evicted, and the cache has no limit
   */
  constructor(place: CopiesPlace, makeRoom: MakeRoom | null = null) {
    this.#place = place;
    this.#makeRoom = makeRoom;
  }

  /** Whether a copy is damaged, so that it must be made again. */
  async isDamaged(key: RecordKey): Promise<boolean> {
    const { mends = [] } = this.#place;
    if (mends.length === 0) return false;
    const path = copyPath(await this.#open(), key);
    return mends.some((each) => each.path === path);
  }

  /** @returns the path of a copy with at least `size` bytes; null if there is none */
  async find(key: RecordKey, size: number): Promise<string | null> {
    try {
      const path = copyPath(await this.#open(), key);
      const status = await bounded(path, () => lstat(path));
      if (!status.isFile() || status.size < size) return null;
      await touchFile(path);
      return path;
    } catch {
      // The layer is read as if there were none.
      return null;
    }
  }

  /** @param name of the layer, for messages. @throws OverlaybdError IO */
  async begin(key: RecordKey, name: string): Promise<CopyWriter> {
    const folder = await this.#open();
    const path = copyPath(folder, key);
    await makeFolders(folder.path, dirname(path));
    const temporary = `${path}.${randomBytes(8).toString('hex')}.tmp`;
    const file = await bounded(`write ${path}`, () => open(temporary, 'wx+', 0o600));
    // It says that a process still writes the file, and ends with that process.
    lockShared(file.fd, USERS_LOCK);
    const { limit, minFree = 0 } = this.#place;
    const most = Math.min(MAX_COPIES, limit === null ? Infinity : limit / PART_OF_CACHE);
    const makeRoom = this.#makeRoom;
    const mends = (this.#place.mends ?? []).filter((each) => each.path === path);
    const fds = mends.map(({ fd }) => fd);
    return new CopyWriter({
      folder,
      file,
      path,
      temporary,
      most,
      minFree,
      makeRoom,
      name,
      fds,
      limit,
    });
  }

  #open(): Promise<CacheFolder> {
    this.#folder ??= prepareFolder(this.#place.folder);
    return this.#folder;
  }
}

/** What Linux adds to the name of a file that is gone. */
const DELETED = / \(deleted\)$/;

const nothing = (): void => undefined;

interface WriterParts {
  readonly folder: CacheFolder;
  readonly file: FileHandle;
  readonly path: string;
  readonly temporary: string;
  /** Bytes of the whole cache; null: no limit of its own. */
  readonly limit: number | null;
  /** Bytes of all copies. */
  readonly most: number;
  /** Bytes that stay free on the disk. */
  readonly minFree: number;
  readonly makeRoom: MakeRoom | null;
  readonly name: string;
  /** Descriptors of copies with the same bytes that are damaged. */
  readonly fds: readonly number[];
}

/** A copy that is being written: in the end it is kept or discarded. */
export class CopyWriter {
  readonly #parts: WriterParts;
  #written = 0;
  #synced = 0;
  /** Bytes that may be written before the next look for room, and when it was looked for. */
  #room = 0;
  #lookedAt = 0;

  constructor(parts: WriterParts) {
    this.#parts = parts;
  }

  /** See PlainCopy. @throws OverlaybdError LIMIT, IO */
  async write(position: number, bytes: Buffer): Promise<void> {
    const { file, temporary } = this.#parts;
    this.#written += bytes.length;
    this.#checkRoom(this.#written);
    // The room of a writer that waits for its registry is kept for a while only.
    const isOld = monotonicMs() - this.#lookedAt > KEPT_MS / 2;
    if (bytes.length > this.#room || isOld) await this.#findRoom(bytes.length);
    this.#room -= bytes.length;
    for (let done = 0; done < bytes.length;) {
      const { bytesWritten } = await bounded(`write ${temporary}`, () =>
        file.write(bytes, done, bytes.length - done, position + done),
      );
      done += bytesWritten;
    }
    if (this.#written - this.#synced < SYNC_BYTES) return;
    this.#synced = this.#written;
    await bounded(`write ${temporary}`, () => file.datasync());
  }

  /** Starts again from the first byte, because what was written is wrong. @throws OverlaybdError IO */
  async restart(): Promise<void> {
    const { file, temporary } = this.#parts;
    await bounded(`write ${temporary}`, () => file.truncate(0));
    this.#room = 0;
    this.#written = 0;
    this.#synced = 0;
  }

  /**
   * The copies that were used least recently make room for it, except for those of blobs that are open. Damaged ones that
   * are open are mended; if that of its path is one of them, it stays.
   * @param advanced called while damaged ones are mended, which takes as long as their disk takes
   * @returns its path
   * @throws OverlaybdError LIMIT if there is no room, IO; then it is discarded
   */
  async keep(advanced = nothing): Promise<string> {
    const { folder, file, path, temporary, most } = this.#parts;
    try {
      await bounded(`write ${temporary}`, () => file.datasync());
      // It is one of those that are counted, and it stays because it is open.
      if (!(await makeRoomFor(folder, most, true, path))) this.#checkRoom(Infinity);
      if (await this.#mend(advanced)) {
        await this.discard();
        return path;
      }
      await bounded(`write ${path}`, () => rename(temporary, path));
      await file.close();
      await this.#endGrowth();
      return path;
    } catch (error) {
      await this.discard();
      throw error;
    }
  }

  /** @returns whether the copy at the path has the right bytes now. @throws OverlaybdError IO */
  async #mend(advanced: () => void): Promise<boolean> {
    const { file, path, fds } = this.#parts;
    if (fds.length === 0) return false;
    const { mendCopy } = await import('./mended-copy.js');
    const there = await bounded(path, () => stat(path)).catch(() => null);
    let isThere = false;
    for (const fd of fds) {
      // Its name may be gone, or be that of another copy by now.
      const opened = `/proc/self/fd/${fd}`;
      // oxlint-disable-next-line no-await-in-loop
      const name = await bounded(path, () => readlink(opened));
      // A closed descriptor may belong to another file by now.
      if (basename(name).replace(DELETED, '') !== basename(path)) continue;
      // oxlint-disable-next-line no-await-in-loop
      await this.#findRoomToMend(opened);
      // oxlint-disable-next-line no-await-in-loop
      await mendCopy(file, opened, advanced);
      // oxlint-disable-next-line no-await-in-loop
      const { dev, ino } = await bounded(path, () => stat(opened));
      isThere ||= dev === there?.dev && ino === there.ino;
    }
    return isThere;
  }

  /** A damaged copy may have been cut: it grows while this one is there, too. @throws OverlaybdError LIMIT, IO */
  async #findRoomToMend(opened: string): Promise<void> {
    const { file, path, limit, makeRoom } = this.#parts;
    if (limit === null || !makeRoom) return;
    const right = await bounded(path, () => file.stat());
    const damaged = await bounded(path, () => stat(opened));
    const growth = (right.blocks - damaged.blocks) * STAT_BLOCK;
    const full = growth > 0 ? await makeRoom(growth, path) : null;
    if (full !== null) throw this.#refusal(full, 'make room there');
  }

  /** Never rejects. */
  async discard(): Promise<void> {
    const { file, temporary } = this.#parts;
    await file.close().catch(() => {});
    await rm(temporary, { force: true }).catch(() => {});
    await this.#endGrowth();
  }

  /** It grows no more: what it has is counted as it is. Never rejects. */
  async #endGrowth(): Promise<void> {
    const { makeRoom, limit, temporary } = this.#parts;
    if (makeRoom && limit !== null) await makeRoom(0, temporary).catch(() => {});
  }

  /** @throws OverlaybdError LIMIT */
  #checkRoom(bytes: number): void {
    const { most, folder } = this.#parts;
    if (bytes <= most) return;
    const room = `decoded copies in ${folder.path} may have ${humanSize(most)}, which is not enough`;
    throw this.#refusal(room, 'allow the cache more');
  }

  /**
   * Among all copies, in the cache, and on the disk, whose other programs need what must stay free.
   * @param bytes that are written next
   * @throws OverlaybdError LIMIT, IO
   */
  async #findRoom(bytes: number): Promise<void> {
    const { folder, minFree, makeRoom, limit, most, temporary } = this.#parts;
    // Chunks come meanwhile, so the cache counts what is going to be written before it is.
    const growth = Math.min(LOOK_BYTES, Math.max(bytes, Math.floor(most / LOOKS)));
    const needed = minFree + growth;
    await this.#findRoomOfCopies(growth);
    const grow = async (): Promise<string | null> =>
      makeRoom === null || limit === null ? null : makeRoom(growth, temporary);
    let full = await grow();
    let free = await freeBytes(folder.path);
    if (free < needed) {
      await (makeRoom ? makeRoom(ROOM_BYTES, temporary) : this.#removeOthers(needed - free));
      full = await grow();
      free = await freeBytes(folder.path);
    }
    this.#room = growth;
    this.#lookedAt = monotonicMs();
    if (free >= needed) {
      if (full === null) return;
      // It may be the limit, or the disk, of which other files are going to have the rest.
      throw this.#refusal(full, 'make room there');
    }
    const kept = minFree === 0 ? '' : `, and ${humanSize(minFree)} of them stay free`;
    const room = `the disk of ${folder.path} has no room: ${humanSize(free)} are free${kept}`;
    throw this.#refusal(room, 'free some of it');
  }

  /** Each other copy that is being written may grow as much meanwhile. @throws OverlaybdError LIMIT, IO */
  async #findRoomOfCopies(growth: number): Promise<void> {
    const { folder, most, path, temporary } = this.#parts;
    let growing = growth;
    const found = await scanRecords(folder);
    for (const each of found) {
      if (!each.isCopy || !each.isTemporary || each.path === temporary) continue;
      // oxlint-disable-next-line no-await-in-loop
      if (await isRecordUsed(each, [])) growing += growth;
    }
    if (growing > most || !(await makeRoomFor(folder, most - growing, true, path, found))) {
      this.#checkRoom(Infinity);
    }
  }

  /** Other copies, of which this many bytes must go. @throws OverlaybdError IO */
  async #removeOthers(bytes: number): Promise<void> {
    const { folder, path } = this.#parts;
    const others = (await scanRecords(folder)).filter((each) => each.isCopy && each.path !== path);
    const sum = others.reduce((all, each) => all + each.bytes, 0);
    await makeRoomFor(folder, sum - bytes, true, path);
  }

  #refusal(room: string, way: string): OverlaybdError {
    const { name } = this.#parts;
    const why = 'a zstd frame is too long to be decoded for each read, so its plain bytes are kept';
    const advice = `${way}, unpack the archive, or compress it in several frames`;
    return new OverlaybdError('LIMIT', `${name}: ${why}: ${room}: ${advice}`, {
      facts: { blob: name },
    });
  }
}
