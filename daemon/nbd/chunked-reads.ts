// Reads with structured or extended replies: data and holes as chunks of their own, so that zeros
// are never sent, and long reads piece by piece, so that they need no memory of their own.

import type { Cursor, DataRuns, Disk } from '../lib/disk.js';
import { EXTENT_DATA, ExtentList } from '../lib/extent-list.js';
import { MAX_LOADS, loadedInVain } from '../lib/loaded.js';
import { NBD_CMD_FLAG, NBD_EIO, NBD_EOVERFLOW } from './constants.js';
import { DataReplies } from './data-replies.js';
import { describeFailure } from './errno.js';
import { MAX_INLINE_LENGTH } from './limits.js';
import type { ReadHost, ReadServer } from './read-server.js';
import type { ReplyWriter } from './reply-writer.js';
import type { ReadRequest, Request } from './request.js';

/** Extents that are looked at in one go; a range with more is answered in several. */
const EXTENTS_AT_ONCE = 256;

/** A piece whose bytes are loaded and gone again gets shorter, down to this. */
const MIN_PIECE = 4096;

/** A read that is not answered yet, or only in part. */
interface Job {
  readonly request: ReadRequest & { readonly flags: number };
  /** Where in the export it goes on. */
  at: number;
  /** How much of it is answered in one go. */
  piece: number;
  /** The piece at `at` needs no network, or not any more. */
  ensured: boolean;
  /** So often the piece at `at` was loaded. */
  loads: number;
  /** What was asked for the next piece: where there are holes. */
  runs: DataRuns | null;
}

/** What must be waited for: bytes, or where there are any. */
type Missing = 'data' | 'extents';

export class ChunkedReads implements ReadServer {
  readonly #disk: Disk;
  readonly #cursor: Cursor;
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

  constructor(disk: Disk, host: ReadHost, replies: ReplyWriter) {
    this.#disk = disk;
    this.#cursor = { hint: 0 };
    this.#host = host;
    this.#replies = replies;
    this.#data = new DataReplies(disk, this.#cursor, host.outbox, replies);
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
      this.#ready.push(this.#jobOf(request, offset));
      return;
    }
    this.#reached = offset;
    let wait: Promise<void> | null;
    let missing: Missing | null = null;
    // No object is made for a read that can be answered at once.
    try {
      wait = this.#disk.ensure(offset, length);
      missing = wait ? null : this.#piece(request, offset, length, null);
      if (!wait && !missing) return;
    } catch (error) {
      this.#fail(error, request);
      return;
    }
    this.#wait(this.#jobOf(request, this.#reached), wait ?? missing);
  }

  resume(): boolean {
    const job = this.#ready.shift();
    if (!job) return false;
    const { request, runs } = job;
    let wait: Promise<void> | null;
    let missing: Missing | null = null;
    this.#reached = job.at;
    job.runs = null;
    try {
      wait = job.ensured ? null : this.#disk.ensure(job.at, this.#next(job));
      missing = wait ? null : this.#piece(request, job.at, job.piece, runs);
    } catch (error) {
      this.#fail(error, request);
      return true;
    }
    const moved = this.#reached > job.at;
    job.at = this.#reached;
    if (moved) {
      job.ensured = false;
      job.loads = 0;
    }
    if (job.at === request.offset + request.length) return true;
    if (moved || !(wait ?? missing)) this.#ready.push(job);
    else this.#wait(job, wait ?? missing);
    return true;
  }

  flushed(): void {
    // Long reads go on by resume(), piece by piece as the client takes them.
  }

  close(): void {
    this.#closed = true;
  }

  /** How long the next piece of a job is. */
  #next(job: Job): number {
    return Math.min(job.piece, job.request.offset + job.request.length - job.at);
  }

  /** A copy of the request, which remembers whether fragments are allowed. */
  #jobOf(request: Request, at: number): Job {
    const kept = { ...request.copy(), flags: request.flags };
    return { request: kept, at, piece: MAX_INLINE_LENGTH, ensured: false, loads: 0, runs: null };
  }

  /**
   * Answers up to `length` bytes of a read from `from` on, as far as `#reached` says.
   * @returns what must be waited for at `#reached`; null when all is answered
   */
  #piece(
    request: ReadRequest & { readonly flags: number },
    from: number,
    length: number,
    runs: DataRuns | null,
  ): Missing | null {
    const end = request.offset + request.length;
    const pieceEnd = Math.min(end, from + length);
    const extents = this.#extents;
    this.#reached = from;
    if ((request.flags & NBD_CMD_FLAG.DF) !== 0) return this.#unfragmented(request, runs);
    while (this.#reached < pieceEnd) {
      const begin = this.#reached;
      this.#disk.extents(begin, pieceEnd - begin, extents, this.#cursor, runs);
      if (extents.count === 0) return 'extents';
      for (let i = 0; i < extents.count;) {
        // Data of several layers, or zeros of several kinds, are one chunk.
        const isData = extents.kinds[i] === EXTENT_DATA;
        let n = 0;
        while (i < extents.count && (extents.kinds[i] === EXTENT_DATA) === isData) {
          n += extents.lengths[i++] as number;
        }
        const last = this.#reached + n === end;
        if (!isData) this.#replies.hole(request, this.#reached, n, last);
        else if (!this.#data.write(request, this.#reached, n, last)) return 'data';
        this.#reached += n;
      }
    }
    return null;
  }

  /** The whole read in one chunk: a hole if it is nothing else, or data with the zeros in it. */
  #unfragmented(request: ReadRequest, runs: DataRuns | null): Missing | null {
    const { offset, length } = request;
    const covered = this.#disk.extents(offset, length, this.#extents, this.#cursor, runs);
    const { count, kinds } = this.#extents;
    if (count === 0) return 'extents';
    const allZeros = covered === length && !kinds.subarray(0, count).includes(EXTENT_DATA);
    if (allZeros) this.#replies.hole(request, offset, length, true);
    else if (!this.#data.write(request, offset, length, true)) return 'data';
    this.#reached = offset + length;
    return null;
  }

  /** Puts a job off until its next piece is at hand. */
  #wait(job: Job, what: Promise<void> | Missing | null): void {
    this.#waiting++;
    const arrived = (): void => {
      this.#waiting--;
      if (this.#closed) return;
      this.#ready.push(job);
      this.#host.wake();
    };
    const lost = (error: unknown): void => {
      if (this.#closed) return;
      this.#replies.later.add(() => {
        this.#waiting--;
        this.#reached = job.at;
        this.#fail(error ?? new Error('failed without a reason'), job.request);
      });
      this.#host.wake();
    };
    this.#fetch(job, what).then(arrived, lost);
  }

  /** @param what a promise is that of `ensure`, which nobody else looks at */
  async #fetch(job: Job, what: Promise<void> | Missing | null): Promise<void> {
    if (what === 'extents') {
      job.runs = await this.#disk.askExtents(job.at, this.#next(job));
    } else if (what === 'data') {
      if (job.loads === MAX_LOADS) throw loadedInVain('export', job.at, this.#next(job));
      // What was loaded did not stay: a shorter piece needs less room. Without fragments there is one.
      const isWhole = (job.request.flags & NBD_CMD_FLAG.DF) !== 0;
      if (job.loads++ > 0 && !isWhole) job.piece = Math.max(MIN_PIECE, job.piece / 2);
      await this.#disk.load(job.at, this.#next(job));
    } else {
      await what;
    }
    job.ensured = true;
  }

  #fail(error: unknown, request: ReadRequest): void {
    this.errors++;
    this.#host.readFailed(error, request);
    this.#replies.error(request, NBD_EIO, describeFailure(error), this.#reached);
  }
}
