// Reads with structured or extended replies: data and holes as chunks of their own, so that zeros
// are never sent, and long reads piece by piece, so that they need no memory of their own.

import { EXTENT_DATA, ExtentList } from '../lib/extent-list.js';
import { NBD_CMD_FLAG, NBD_EIO, NBD_EOVERFLOW } from './constants.js';
import { DataReplies } from './data-replies.js';
import { describeFailure } from './errno.js';
import type { ExportCursor, NbdExport } from './export.js';
import { MAX_INLINE_LENGTH } from './limits.js';
import type { ReadHost, ReadServer } from './read-server.js';
import type { ReplyWriter } from './reply-writer.js';
import type { ReadRequest, Request } from './request.js';

/** Extents that are looked at in one go; a range with more is answered in several. */
const EXTENTS_AT_ONCE = 256;

/** A read that is not answered yet, or only in part. */
interface Job {
  readonly request: ReadRequest;
  /** Where in the export it goes on. */
  at: number;
  /** The piece at `at` was waited for: it may now be read at any cost. */
  mayBlock: boolean;
}

export class ChunkedReads implements ReadServer {
  readonly #export: NbdExport;
  readonly #cursor: ExportCursor;
  readonly #host: ReadHost;
  readonly #replies: ReplyWriter;
  readonly #data: DataReplies;
  readonly #extents = new ExtentList(EXTENTS_AT_ONCE);
  /** Reads that can go on, in turn: each gets one piece. */
  readonly #ready: Job[] = [];
  #waiting = 0;
  #closed = false;
  /** How far the piece that is being answered got; where it failed, when it throws. */
  #reached = 0;
  errors = 0;

  constructor(served: NbdExport, host: ReadHost, replies: ReplyWriter) {
    this.#export = served;
    this.#cursor = served.newCursor();
    this.#host = host;
    this.#replies = replies;
    this.#data = new DataReplies(served, this.#cursor, host.outbox, replies);
  }

  get count(): number {
    return this.#ready.length + this.#waiting;
  }

  start(request: Request): void {
    const { offset, length } = request;
    if ((request.flags & NBD_CMD_FLAG.DF) !== 0 && length > MAX_INLINE_LENGTH) {
      const limit = `at most ${MAX_INLINE_LENGTH} bytes can be read without fragments`;
      this.#replies.error(request, NBD_EOVERFLOW, limit);
      return;
    }
    if (length > MAX_INLINE_LENGTH) {
      this.#ready.push({ request: this.#keep(request), at: offset, mayBlock: false });
      return;
    }
    this.#reached = offset;
    let wait: Promise<void> | null;
    // No object is made for a read that can be answered at once.
    try {
      wait = this.#export.ensure(offset, length);
      if (!wait && this.#piece(request, offset, false)) return;
    } catch (error) {
      this.#fail(error, request);
      return;
    }
    this.#wait({ request: this.#keep(request), at: this.#reached, mayBlock: false }, wait);
  }

  resume(): boolean {
    const job = this.#ready.shift();
    if (!job) return false;
    const { request } = job;
    let wait: Promise<void> | null;
    let whole: boolean;
    this.#reached = job.at;
    try {
      wait = job.mayBlock
        ? null
        : this.#export.ensure(job.at, Math.min(MAX_INLINE_LENGTH, this.#left(job)));
      whole = !wait && this.#piece(request, job.at, job.mayBlock);
    } catch (error) {
      this.#fail(error, request);
      return true;
    }
    const moved = this.#reached > job.at;
    job.at = this.#reached;
    job.mayBlock = false;
    if (this.#left(job) === 0) return true;
    if (whole || moved) this.#ready.push(job);
    else this.#wait(job, wait);
    return true;
  }

  flushed(): void {
    // Long reads go on by resume(), piece by piece as the client takes them.
  }

  close(): void {
    this.#closed = true;
  }

  #left(job: Job): number {
    return job.request.offset + job.request.length - job.at;
  }

  /** A copy that remembers whether fragments are allowed. */
  #keep(request: Request): ReadRequest & { readonly flags: number } {
    return { ...request.copy(), flags: request.flags };
  }

  /**
   * Answers up to MAX_INLINE_LENGTH bytes of a read from `from` on, as far as `#reached` says.
   * @returns false when a disk must be waited for at `#reached`
   */
  #piece(request: ReadRequest & { flags?: number }, from: number, mayBlock: boolean): boolean {
    const end = request.offset + request.length;
    const pieceEnd = Math.min(end, from + MAX_INLINE_LENGTH);
    const extents = this.#extents;
    this.#reached = from;
    if (((request.flags ?? 0) & NBD_CMD_FLAG.DF) !== 0) {
      return this.#unfragmented(request, mayBlock);
    }
    while (this.#reached < pieceEnd) {
      const begin = this.#reached;
      this.#export.extents(begin, pieceEnd - begin, extents, this.#cursor);
      for (let i = 0; i < extents.count;) {
        // Data of several layers, or zeros of several kinds, are one chunk.
        const isData = extents.kinds[i] === EXTENT_DATA;
        let length = 0;
        while (i < extents.count && (extents.kinds[i] === EXTENT_DATA) === isData) {
          length += extents.lengths[i++] as number;
        }
        const last = this.#reached + length === end;
        if (!isData) {
          this.#replies.hole(request, this.#reached, length, last);
        } else if (!this.#data.write(request, this.#reached, length, last, mayBlock)) {
          return false;
        }
        this.#reached += length;
      }
    }
    return true;
  }

  /** The whole read in one chunk: a hole if it is nothing else, or data with the zeros in it. */
  #unfragmented(request: ReadRequest, mayBlock: boolean): boolean {
    const { offset, length } = request;
    const covered = this.#export.extents(offset, length, this.#extents, this.#cursor);
    const { count, kinds } = this.#extents;
    const allZeros = covered === length && !kinds.subarray(0, count).includes(EXTENT_DATA);
    if (allZeros) this.#replies.hole(request, offset, length, true);
    else if (!this.#data.write(request, offset, length, true, mayBlock)) return false;
    this.#reached = offset + length;
    return true;
  }

  /**
   * Puts a job off until its next piece is at hand.
   * @param ensured what `ensure` said, if it has been asked; nobody else looks at how that ends
   */
  #wait(job: Job, ensured: Promise<void> | null): void {
    this.#waiting++;
    const length = Math.min(MAX_INLINE_LENGTH, this.#left(job));
    const arrived = (): void => {
      this.#waiting--;
      if (this.#closed) return;
      job.mayBlock = true;
      this.#ready.push(job);
      this.#host.wake();
    };
    const lost = (error: unknown): void => {
      this.#waiting--;
      if (this.#closed) return;
      this.#reached = job.at;
      this.#fail(error ?? new Error('failed without a reason'), job.request);
      this.#host.wake();
    };
    this.#fetch(job.at, length, ensured).then(arrived, lost);
  }

  async #fetch(offset: number, length: number, ensured: Promise<void> | null): Promise<void> {
    await (ensured ?? this.#export.ensure(offset, length));
    await this.#export.load(offset, length);
  }

  #fail(error: unknown, request: ReadRequest): void {
    this.errors++;
    this.#host.readFailed(error, request);
    this.#replies.error(request, NBD_EIO, describeFailure(error), this.#reached);
  }
}
