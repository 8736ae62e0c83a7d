// The records of layers as a thread that opens images sees them: gets and keeps them. Needs no fetcher: a record is a file
// that is read and replaced as a whole.

import { lstat } from 'node:fs/promises';
import { messageOf } from '../errors.js';
import { humanSize } from '../lib/format-size.js';
import { bounded, freeBytes } from './disk.js';
import type { CacheFolder } from './folder.js';
import { prepareFolder } from './folder-owner.js';
import { MAX_RECORD, recordContent, recordHeader, RECORD_HEADER_SIZE } from './record-bytes.js';
import { makeRoomFor, recordPath, type RecordKey } from './record-files.js';
import { readWhole, touchFile, writeWhole } from './small-files.js';

/** Bytes of all records, if the cache has no limit; otherwise a quarter of that. */
const MAX_RECORDS = 4 * 2 ** 30;
const PART_OF_CACHE = 4;

/** Where they are: a folder, and bytes that the cache may have; null: no limit of its own. */
interface RecordsPlace {
  readonly folder: string;
  readonly limit: number | null;
}

/** Beside the bytes of a file, its disk needs blocks for its name and for where its bytes are. */
const FILE_OVERHEAD = 256 << 10;

type MakeRoom = (bytes: number, file: string) => Promise<string | null>;

export class LayerRecords {
  readonly #place: RecordsPlace;
  readonly #makeRoom: MakeRoom | null;
  #folder: Promise<CacheFolder> | null = null;

  /** @param makeRoom has chunks evicted if the cache or its disk has no room for a record; null: nothing can be evicted */
  constructor(place: RecordsPlace, makeRoom: MakeRoom | null = null) {
    this.#place = place;
    this.#makeRoom = makeRoom;
  }

  /** @returns the bytes of the file of a record; null if it is not there or cannot be looked at */
  async sizeOf(key: RecordKey): Promise<number | null> {
    try {
      const path = recordPath(await this.#open(), key);
      return (await bounded(path, () => lstat(path))).size;
    } catch {
      return null;
    }
  }

  /** @returns the content of a record, at a multiple of 8 of its memory; null if it is not there or cannot be used */
  async get(key: RecordKey): Promise<Buffer | null> {
    try {
      const folder = await this.#open();
      const path = recordPath(folder, key);
      const bytes = await readWhole(path, RECORD_HEADER_SIZE + MAX_RECORD);
      const content = bytes && recordContent(bytes);
      if (content) void touchFile(path);
      return content;
    } catch {
      // The layer is read as if there were no record.
      return null;
    }
  }

  /**
   * Keeps a record. The ones that were used least recently make room for it, except for those of blobs that are open.
   * @returns null; or why it is not kept, a sentence without its subject
   */
  async put(key: RecordKey, content: Buffer): Promise<string | null> {
    const size = RECORD_HEADER_SIZE + content.length;
    const { limit } = this.#place;
    const most = Math.min(MAX_RECORDS, limit === null ? Infinity : limit / PART_OF_CACHE);
    if (size > Math.min(MAX_RECORD, most)) {
      return `it has ${humanSize(size)}, and there is room for ${humanSize(most)}`;
    }
    try {
      const folder = await this.#open();
      const path = recordPath(folder, key);
      if (!(await makeRoomFor(folder, most - size, false, path)))
        return 'the records of layers in use take all room';
      const onDisk = size + FILE_OVERHEAD;
      // Chunks come meanwhile, so the cache counts a record before it is written.
      if (this.#makeRoom && (limit !== null || (await freeBytes(folder.path)) < onDisk)) {
        const full = await this.#makeRoom(onDisk, path);
        if (full !== null && limit !== null) return full;
      }
      const bytes = Buffer.concat([recordHeader(content), content]);
      await writeWhole(folder.path, path, bytes);
      return null;
    } catch (error) {
      return messageOf(error);
    }
  }

  #open(): Promise<CacheFolder> {
    this.#folder ??= prepareFolder(this.#place.folder);
    return this.#folder;
  }
}
