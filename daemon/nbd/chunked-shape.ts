// Structured and extended replies to reads: separate chunks for data and holes, so that zeros are not sent, and
// long reads piece by piece, so that they need no extra memory.

import type { Cursor, Disk } from '../lib/disk.js';
import { EXTENT_DATA, ExtentList } from '../lib/extent-list.js';
import { MAX_WAITS, fetchOrLoad, goneAgain } from '../lib/loaded.js';
import { NBD_CMD_FLAG } from './constants.js';
import { DataReplies } from './data-replies.js';
import type { ReadHost, ReadJob, ReplyShape } from './read-job.js';
import type { ReplyWriter } from './reply-writer.js';

/** Extents of one lookup. A range with more takes several. */
const EXTENTS_AT_ONCE = 256;
/** If the bytes of a piece are evicted before they are read, the piece gets shorter, down to this. */
const MIN_PIECE = 4096;

export class ChunkedShape implements ReplyShape {
  readonly inPieces = true;
  readonly #disk: Disk;
  readonly #cursor: Cursor = { hint: 0 };
  readonly #replies: ReplyWriter;
  readonly #data: DataReplies;
  readonly #extents = new ExtentList(EXTENTS_AT_ONCE);

  constructor(disk: Disk, host: ReadHost, replies: ReplyWriter) {
    this.#disk = disk;
    this.#replies = replies;
    this.#data = new DataReplies(disk, this.#cursor, host.outbox, replies);
  }

  answer(job: ReadJob): boolean {
    const { request, runs } = job;
    job.runs = null;
    job.needsRuns = false;
    if ((request.flags & NBD_CMD_FLAG.DF) !== 0) {
      job.runs = runs;
      return this.#unfragmented(job);
    }
    const extents = this.#extents;
    const pieceEnd = job.at + job.next;
    while (job.at < pieceEnd) {
      this.#disk.extents(job.at, pieceEnd - job.at, extents, this.#cursor, runs);
      if (extents.count === 0) {
        job.needsRuns = true;
        return false;
      }
      for (let i = 0; i < extents.count;) {
        // Data of several layers, or zeros of several kinds, share a chunk.
        const isData = extents.kinds[i] === EXTENT_DATA;
        // The extents were found by a search; the read of them need not search again.
        if (isData) this.#cursor.hint = extents.hints[i] as number;
        let n = 0;
        while (i < extents.count && (extents.kinds[i] === EXTENT_DATA) === isData) {
          n += extents.lengths[i++] as number;
        }
        const last = job.at + n === job.end;
        if (job.isTrial && !last) return false;
        if (!isData) this.#replies.hole(request, job.at, n, last);
        else if (!this.#data.write(request, job.at, n, last)) {
          job.isMissed = true;
          return false;
        }
        job.at += n;
      }
    }
    return true;
  }

  prepare(job: ReadJob): Promise<void> {
    if (job.waits === MAX_WAITS) return Promise.reject(goneAgain('export', job.at, job.next));
    if (job.needsRuns) {
      job.waits++;
      return this.#askRuns(job);
    }
    // The bytes were evicted: a shorter piece needs less room. Without fragments there is only one piece.
    const isWhole = (job.request.flags & NBD_CMD_FLAG.DF) !== 0;
    if (job.waits++ > 0 && !isWhole) job.piece = Math.max(MIN_PIECE, job.piece / 2);
    return fetchOrLoad(this.#disk, job.at, job.next);
  }

  async #askRuns(job: ReadJob): Promise<void> {
    job.runs = await this.#disk.askExtents(job.at, job.next);
  }

  flushed(): void {
    // Nothing to do: long reads continue piece by piece as the client reads.
  }

  close(): void {
    // Nothing to do: no memory is held.
  }

  /** Answers the whole read with one chunk: a hole if it is all zeros, else data, including zeros. */
  #unfragmented(job: ReadJob): boolean {
    const { request, at, end, runs } = job;
    const length = end - at;
    const covered = this.#disk.extents(at, length, this.#extents, this.#cursor, runs);
    const { count, kinds } = this.#extents;
    job.runs = null;
    if (count === 0) {
      job.needsRuns = true;
      return false;
    }
    const allZeros = covered === length && !kinds.subarray(0, count).includes(EXTENT_DATA);
    if (allZeros) this.#replies.hole(request, at, length, true);
    else if (!this.#data.write(request, at, length, true)) {
      job.isMissed = true;
      return false;
    }
    job.at = end;
    return true;
  }
}
