// Data of an export behind its header in the reply: long runs of files without a copy of ours in
// between, all others through a chunk of the outbox.

import type { FileRange } from '../lib/file-range.js';
import type { ExportCursor, NbdExport } from './export.js';
import { MIN_UNCOPIED_LENGTH } from './limits.js';
import type { Outbox } from './outbox.js';
import type { ReplyWriter } from './reply-writer.js';
import type { ReplyTarget } from './request.js';

export class DataReplies {
  readonly #export: NbdExport;
  readonly #cursor: ExportCursor;
  readonly #outbox: Outbox;
  readonly #replies: ReplyWriter;
  readonly #range: FileRange = { fd: -1, position: 0 };

  constructor(served: NbdExport, cursor: ExportCursor, outbox: Outbox, replies: ReplyWriter) {
    this.#export = served;
    this.#cursor = cursor;
    this.#outbox = outbox;
    this.#replies = replies;
  }

  /**
   * The hot path: no object is made for data that is at hand.
   * @param last whether this is the end of the reply
   * @returns false when a disk must be waited for
   * @throws when the bytes cannot be had; nothing is in the reply then
   */
  write(to: ReplyTarget, offset: number, length: number, last: boolean): boolean {
    if (this.#uncopied(to, offset, length, last)) return true;
    const overhead = this.#replies.dataOverhead;
    const chunk = this.#outbox.reserve(overhead + length);
    const at = chunk.end + overhead;
    if (!this.#export.read(chunk.bytes, at, length, offset, this.#cursor)) return false;
    this.#replies.dataHeader(chunk, to, offset, length, last);
    this.#outbox.commit(chunk, overhead + length);
    return true;
  }

  /** @returns false when it has to be read: it is not in one piece, not at hand, or too short */
  #uncopied(to: ReplyTarget, offset: number, length: number, last: boolean): boolean {
    const { files } = this.#outbox;
    if (length < MIN_UNCOPIED_LENGTH || !files) return false;
    const range = this.#range;
    if (!this.#export.locate?.(offset, length, range, this.#cursor)) return false;
    // Nothing can go wrong once the header is written, so the bytes are taken before it is.
    if (!files.take(range.fd, range.position, length)) return false;
    const { dataOverhead } = this.#replies;
    const chunk = this.#outbox.reserve(dataOverhead);
    this.#replies.dataHeader(chunk, to, offset, length, last);
    this.#outbox.commit(chunk, dataOverhead);
    this.#outbox.pushFile(length);
    return true;
  }
}
