// The records of an open blob in memory: what its state file says about each chunk, without those that turned out to be wrong.

import type { ChunkMap } from '../blob/chunk-map.js';
import { files as nativeFiles } from '../native/file.js';
import type { PartialState } from './blob-files.js';
import { RECORD_SIZE, RecordFormat, recordPosition } from './state-file.js';

export class Claims {
  readonly format: RecordFormat;
  /** The state file when it was opened, without records that were cleared since. */
  readonly #bytes: Buffer;
  /** Records that did not match their bytes, by chunk. */
  readonly #rejected = new Map<number, number>();

  constructor(digest: string, { nonce, bytes }: PartialState) {
    this.format = new RecordFormat({ digest, nonce });
    this.#bytes = bytes;
  }

  /**
   * @param fd of the state file, which another process may have written
   * @returns the CRC that the record of a chunk says; -1: there is none, or it is known to be wrong
   */
  of(chunk: number, fd: number): number {
    const position = recordPosition(chunk);
    const now = Buffer.alloc(RECORD_SIZE);
    // If that needs a read of the disk, the earlier value is used.
    const got = nativeFiles.readAtHand(fd, now, 0, RECORD_SIZE, position);
    if (got === RECORD_SIZE) now.copy(this.#bytes, position);
    const record = this.format.decode(this.#bytes, position);
    return record >= 0 && this.#rejected.get(chunk) === record ? -1 : record;
  }

  /** The next chunk from `chunk` to `last` that has a record and is not present; -1: there is none. */
  next(chunk: number, last: number, map: ChunkMap): number {
    for (let at = chunk; at <= last; at++) {
      if (map.has(at) || this.#rejected.has(at)) continue;
      if (this.format.decode(this.#bytes, recordPosition(at)) >= 0) return at;
    }
    return -1;
  }

  /** The bytes of the chunk do not match. @param record what {@link of} returned */
  reject(chunk: number, record: number): void {
    this.#rejected.set(chunk, record);
  }

  stored(chunk: number, record: Buffer): void {
    record.copy(this.#bytes, recordPosition(chunk));
    this.#rejected.delete(chunk);
  }

  cleared(first: number, count: number): void {
    const position = recordPosition(first);
    this.#bytes.fill(0, position, position + count * RECORD_SIZE);
    for (let chunk = first; chunk < first + count; chunk++) this.#rejected.delete(chunk);
  }
}
