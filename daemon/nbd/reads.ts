// The reads of one connection: answers those whose bytes are in memory at once, keeps the others until they are,
// and lets long reads take turns. A ReplyShape makes the replies.

import type { Disk } from '../lib/disk.js';
import { MAX_INLINE_LENGTH } from './limits.js';
import { nbdErrno, describeFailure } from './errors.js';
import { ReadJob, type ReadHost, type ReplyShape } from './read-job.js';
import { ReadWaits } from './read-waits.js';
import type { ReplyWriter } from './reply-writer.js';
import type { Request } from './request.js';

export class Reads {
  readonly #disk: Disk;
  readonly #shape: ReplyShape;
  readonly #host: ReadHost;
  readonly #replies: ReplyWriter;
  readonly #waits: ReadWaits;
  /** The read that has just arrived. */
  readonly #current = new ReadJob();
  /** Reads that can continue, in turn: each gets one piece. */
  readonly #ready: ReadJob[] = [];
  #waiting = 0;
  /** Of these, the ones that wait for a network and have sent nothing: they can be answered elsewhere. */
  readonly #parked = new Set<ReadJob>();
  /** Reads that have waited and have no answer yet: those of this connection in `waits`. */
  readonly #waited = new Set<ReadJob>();
  #closed = false;
  /** Reads that were answered with an error. */
  errors = 0;

  /** @param waits of all reads of the export in this thread */
  constructor(
    disk: Disk,
    shape: ReplyShape,
    host: ReadHost,
    replies: ReplyWriter,
    waits = new ReadWaits(),
  ) {
    this.#waits = waits;
    this.#disk = disk;
    this.#shape = shape;
    this.#host = host;
    this.#replies = replies;
  }

  /** Reads without an answer so far. */
  get count(): number {
    return this.#ready.length + this.#waiting;
  }

  /** Whether all reads without an answer wait for a network, and another process could answer them. */
  get areParked(): boolean {
    return this.count === this.#parked.size;
  }

  /** Gives up the parked reads without an answer. @returns their requests, in the order of arrival */
  recall(): Request[] {
    const jobs = [...this.#parked];
    this.#parked.clear();
    this.#waiting -= jobs.length;
    for (const job of jobs) {
      job.isRecalled = true;
      this.#forget(job);
    }
    return jobs.map(({ request }) => request);
  }

  /** Answers the parked reads with an error. @param error made for each */
  failParked(error: () => Error): void {
    for (const job of this.#parked) {
      job.isRecalled = true;
      this.#waiting--;
      this.#replies.later.add(() => this.#fail(error(), job));
    }
    this.#parked.clear();
  }

  /** Takes a read of at least one byte within the export. The request object is reused afterwards. */
  start(request: Request): void {
    const job = this.#current.begin(request);
    try {
      if (this.#tried(job)) return;
      // Ask for all of a long read now, so that missing bytes are fetched at once, not piece by piece.
      const wait = this.#disk.ensure(request.offset, request.length);
      if (request.length > MAX_INLINE_LENGTH && this.#shape.inPieces) {
        wait?.catch(() => undefined); // each piece asks again, and learns of a failure itself
        this.#ready.push(job.kept());
      } else if (wait) {
        this.#park(job.kept(), wait);
      } else if (job.isMissed || !this.#shape.answer(job)) {
        // Bytes that need no network and were not at hand a moment ago are on a disk.
        const kept = job.kept();
        this.#wait(kept, this.#shape.prepare(kept), false);
      }
    } catch (error) {
      this.#fail(error, job);
    }
  }

  /** @returns whether a short read was answered without `ensure`; if not, nothing was sent */
  #tried(job: ReadJob): boolean {
    if (this.#disk.isRemote !== true || job.request.length > MAX_INLINE_LENGTH) return false;
    job.isTrial = true;
    const isAnswered = this.#shape.answer(job);
    job.isTrial = false;
    return isAnswered;
  }

  /** Continues one of the reads that were put off. @returns false if none can continue */
  resume(): boolean {
    const job = this.#ready.shift();
    if (!job) return false;
    const { at } = job;
    try {
      const wait = job.isEnsured ? null : this.#disk.ensure(at, job.next);
      if (wait) {
        if (at === job.request.offset && !job.buffer) this.#park(job, wait);
        else this.#wait(job, wait, true);
        return true;
      }
      const isAnswered = this.#shape.answer(job);
      if (job.at > at) {
        job.isEnsured = false;
        job.waits = 0;
      }
      if (!isAnswered) this.#wait(job, this.#shape.prepare(job), false);
      else if (job.at < job.end) this.#ready.push(job);
      else this.#answered(job);
    } catch (error) {
      this.#fail(error, job);
    }
    return true;
  }

  /** Call this when the client may have read replies. */
  flushed(): void {
    this.#shape.flushed();
  }

  /** Call this when the client is gone. Reads that were put off are dropped when their bytes arrive. */
  close(): void {
    this.#closed = true;
    for (const job of this.#ready) this.#drop(job);
    this.#ready.length = 0;
    // Also those whose bytes or memory may never come, or whose errors wait for room that will not come.
    for (const job of this.#waited) this.#waits.drop(job);
    this.#waited.clear();
    this.#shape.close();
  }

  /** Puts a job off that has sent nothing, until a network has brought the bytes. */
  #park(job: ReadJob, wait: Promise<void>): void {
    this.#parked.add(job);
    this.#wait(job, wait, true);
  }

  /**
   * Puts a job off until the bytes of its next piece are in memory.
   * @param isRemote whether it waits for a network
   */
  #wait(job: ReadJob, wait: Promise<void>, isRemote: boolean): void {
    this.#waiting++;
    this.#waited.add(job);
    this.#waits.begin(job, isRemote);
    const arrived = (): void => {
      this.#parked.delete(job);
      if (this.#closed || job.isRecalled) return this.#drop(job);
      this.#waiting--;
      job.isEnsured = true;
      this.#ready.push(job);
      this.#host.arrived();
    };
    const lost = (error: unknown): void => {
      this.#parked.delete(job);
      if (this.#closed || job.isRecalled) return this.#drop(job);
      this.#replies.later.add(() => {
        this.#waiting--;
        this.#fail(error ?? new Error('failed without a reason'), job);
      });
      this.#host.wake();
    };
    wait.then(arrived, lost);
  }

  #fail(error: unknown, job: ReadJob): void {
    const { request, at } = job;
    this.errors++;
    this.#answered(job);
    this.#host.readFailed(error, request);
    this.#replies.error(request, nbdErrno(error), describeFailure(error), at);
  }

  #answered(job: ReadJob): void {
    this.#waited.delete(job);
    this.#waits.end(job);
  }

  /** The job will not be answered. */
  #drop(job: ReadJob): void {
    this.#forget(job);
    job.buffer?.release?.(job.buffer);
  }

  /** The job does not count as a read that waits any more. */
  #forget(job: ReadJob): void {
    this.#waited.delete(job);
    this.#waits.drop(job);
  }
}
