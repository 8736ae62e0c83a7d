// Long runs of data from files, behind their header in the reply without a copy of ours in between.

import type { FileRange } from '../lib/file-range.js';
import type { ExportCursor, NbdExport } from './export.js';
import { MIN_UNCOPIED_LENGTH } from './limits.js';
import type { Outbox } from './outbox.js';
import type { ReplyWriter } from './reply-writer.js';
import type { ReplyTarget } from './request.js';

export class UncopiedData {
  readonly #export: NbdExport;
  readonly #outbox: Outbox;
  readonly #replies: ReplyWriter;
  readonly #range: FileRange = { fd: -1, position: 0 };

  constructor(served: NbdExport, outbox: Outbox, replies: ReplyWriter) {
    this.#export = served;
    this.#outbox = outbox;
    this.#replies = replies;
  }

  /**
   * Answers a read, or the part of it that is at `offset`, with data from a file.
   * @param last whether this is the end of the reply
   * @returns false when it has to be read: the bytes are not in one piece, not at hand, or too few
   */
  answer(
    to: ReplyTarget,
    offset: number,
    length: number,
    last: boolean,
    cursor: ExportCursor,
  ): boolean {
    const { files } = this.#outbox;
    if (length < MIN_UNCOPIED_LENGTH || !files) return false;
    const range = this.#range;
    if (!this.#export.locate?.(offset, length, range, cursor)) return false;
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
