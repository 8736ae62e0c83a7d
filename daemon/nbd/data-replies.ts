// The data of a reply, after its header: long runs of files go to the client without a copy in this
// process, all other data through a send buffer.

import type { Cursor, Disk, FileRange } from '../lib/disk.js';
import { MIN_UNCOPIED_LENGTH } from './limits.js';
import type { Outbox } from './outbox.js';
import type { ReplyWriter } from './reply-writer.js';
import type { ReplyTarget } from './request.js';

export class DataReplies {
  readonly #disk: Disk;
  readonly #cursor: Cursor;
  readonly #outbox: Outbox;
  readonly #replies: ReplyWriter;
  readonly #range: FileRange = { fd: -1, position: 0 };

  constructor(disk: Disk, cursor: Cursor, outbox: Outbox, replies: ReplyWriter) {
    this.#disk = disk;
    this.#cursor = cursor;
    this.#outbox = outbox;
    this.#replies = replies;
  }

  /**
   * The hot path: creates no object if the data is in memory.
   * @param last whether this is the end of the reply
   * @returns false if the data is not in memory
   * @throws if the bytes cannot be read; the reply is then unchanged
   */
  write(to: ReplyTarget, offset: number, length: number, last: boolean): boolean {
    if (this.#uncopied(to, offset, length, last)) return true;
    const overhead = this.#replies.dataOverhead;
    const buffer = this.#outbox.reserve(overhead + length);
    const at = buffer.end + overhead;
    if (!this.#disk.read(offset, length, buffer.bytes, at, this.#cursor)) return false;
    this.#replies.dataHeader(buffer, to, offset, length, last);
    this.#outbox.commit(buffer, overhead + length);
    return true;
  }

  /** @returns false if the range has to be read: no file has it in one piece, or it is too short */
  #uncopied(to: ReplyTarget, offset: number, length: number, last: boolean): boolean {
    const { files } = this.#outbox;
    if (length < MIN_UNCOPIED_LENGTH || !files) return false;
    const range = this.#range;
    if (!this.#disk.locate?.(offset, length, range, this.#cursor)) return false;
    // Take the bytes before writing the header: after it, no error can be reported.
    if (!files.take(range.fd, range.position, length)) return false;
    const { dataOverhead } = this.#replies;
    const buffer = this.#outbox.reserve(dataOverhead);
    this.#replies.dataHeader(buffer, to, offset, length, last);
    this.#outbox.commit(buffer, dataOverhead);
    this.#outbox.pushFile(length);
    return true;
  }
}
