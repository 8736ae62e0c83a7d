// Decoded copies of layers whose compressed form cannot be read from the middle: files of the cache beside the records. A copy
// that is gone costs another reading of its layer, as a record does.

import { randomBytes } from 'node:crypto';
import { lstat, open, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { OverlaybdError } from '../errors.js';
import { humanSize } from '../lib/format-size.js';
import { USERS_LOCK } from './blob-files.js';
import { bounded, lockShared } from './disk.js';
import type { CacheFolder } from './folder.js';
import { prepareFolder } from './folder-owner.js';
import { copyPath, makeRoomFor, type RecordKey } from './record-files.js';
import { makeFolders, touchFile } from './small-files.js';

/** Bytes on disk of all copies, if the cache has no limit; otherwise a half of that. */
const MAX_COPIES = 64 * 2 ** 30;
const PART_OF_CACHE = 2;
/** Written bytes between two waits for the disk: a slow one must have written them within the deadline of one call. */
const SYNC_BYTES = 16 << 20;

interface CopiesPlace {
  readonly folder: string;
  readonly limit: number | null;
}

export class PlainCopies {
  readonly #place: CopiesPlace;
  #folder: Promise<CacheFolder> | null = null;

  constructor(place: CopiesPlace) {
    this.#place = place;
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
    const { limit } = this.#place;
    const most = Math.min(MAX_COPIES, limit === null ? Infinity : limit / PART_OF_CACHE);
    return new CopyWriter({ folder, file, path, temporary, most, name });
  }

  #open(): Promise<CacheFolder> {
    this.#folder ??= prepareFolder(this.#place.folder);
    return this.#folder;
  }
}

interface WriterParts {
  readonly folder: CacheFolder;
  readonly file: FileHandle;
  readonly path: string;
  readonly temporary: string;
  /** Bytes of all copies. */
  readonly most: number;
  readonly name: string;
}

/** A copy that is being written: in the end it is kept or discarded. */
export class CopyWriter {
  readonly #parts: WriterParts;
  #written = 0;
  #synced = 0;

  constructor(parts: WriterParts) {
    this.#parts = parts;
  }

  /** See PlainCopy. @throws OverlaybdError LIMIT, IO */
  async write(position: number, bytes: Buffer): Promise<void> {
    const { file, temporary } = this.#parts;
    this.#written += bytes.length;
    this.#checkRoom(this.#written);
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

  /** Its bytes come anew: what is there was wrong. @throws OverlaybdError IO */
  async restart(): Promise<void> {
    const { file, temporary } = this.#parts;
    await bounded(`write ${temporary}`, () => file.truncate(0));
    this.#written = 0;
    this.#synced = 0;
  }

  /**
   * The copies that were used least recently make room for it, except for those of blobs that are open.
   * @returns its path
   * @throws OverlaybdError LIMIT if there is no room, IO; then it is discarded
   */
  async keep(): Promise<string> {
    const { folder, file, path, temporary, most } = this.#parts;
    try {
      await bounded(`write ${temporary}`, () => file.datasync());
      // It is one of those that are counted, and it stays because it is open.
      if (!(await makeRoomFor(folder, most, true, path))) this.#checkRoom(Infinity);
      await bounded(`write ${path}`, () => rename(temporary, path));
      await file.close();
      return path;
    } catch (error) {
      await this.discard();
      throw error;
    }
  }

  /** Never rejects. */
  async discard(): Promise<void> {
    const { file, temporary } = this.#parts;
    await file.close().catch(() => {});
    await rm(temporary, { force: true }).catch(() => {});
  }

  /** @throws OverlaybdError LIMIT */
  #checkRoom(bytes: number): void {
    const { most, name, folder } = this.#parts;
    if (bytes <= most) return;
    const why = 'a zstd frame is too long to be decoded for each read, so its plain bytes are kept';
    const room = `decoded copies in ${folder.path} may have ${humanSize(most)}, which is not enough`;
    const advice = 'allow the cache more, unpack the archive, or compress it in several frames';
    throw new OverlaybdError('LIMIT', `${name}: ${why}: ${room}: ${advice}`, {
      facts: { blob: name },
    });
  }
}
