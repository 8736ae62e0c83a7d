// The reads of one connection: answers at once what is at hand, keeps the rest until it is, and lets long
// reads take turns. What a reply looks like is the business of a ReplyShape.

import type { Disk } from '../lib/disk.js';
import { MAX_INLINE_LENGTH } from './limits.js';
import { nbdErrno, describeFailure } from './errors.js';
import { ReadJob, type ReadHost, type ReplyShape } from './read-job.js';
import type { ReplyWriter } from './reply-writer.js';
import type { Request } from './request.js';

export class Reads {
  readonly #disk: Disk;
  readonly #shape: ReplyShape;
  readonly #host: ReadHost;
  readonly #replies: ReplyWriter;
  /** The read that has just arrived. */
  readonly #current = new ReadJob();
  /** Reads that can go on, in turn: each gets one piece. */
  readonly #ready: ReadJob[] = [];
  #waiting = 0;
  #closed = false;
  /** Reads that were answered with an error. */
  errors = 0;

  constructor(disk: Disk, shape: ReplyShape, host: ReadHost, replies: ReplyWriter) {
    this.#disk = disk;
    this.#shape = shape;
    this.#host = host;
    this.#replies = replies;
  }

  /** Reads taken and not answered. */
  get count(): number {
    return this.#ready.length + this.#waiting;
  }

  /** Takes a read of at least one byte within the export. The request object is reused afterwards. */
  start(request: Request): void {
    const job = this.#current.begin(request);
    try {
      // All of a long read is asked for now, so that what is missing is fetched at once, not piece by piece.
      const wait = this.#disk.ensure(request.offset, request.length);
      if (request.length > MAX_INLINE_LENGTH && this.#shape.inPieces) {
        wait?.catch(() => undefined); // each piece asks again, and learns of a failure itself
        this.#ready.push(job.kept());
      } else if (wait) {
        this.#wait(job.kept(), wait);
      } else if (!this.#shape.answer(job)) {
        const kept = job.kept();
        this.#wait(kept, this.#shape.prepare(kept));
      }
    } catch (error) {
      this.#fail(error, job);
    }
  }

  /** Goes on with one of the reads that were put off. @returns false when none can go on */
  resume(): boolean {
    const job = this.#ready.shift();
    if (!job) return false;
    const { at } = job;
    try {
      const wait = job.isEnsured ? null : this.#disk.ensure(at, job.next);
      if (wait) {
        this.#wait(job, wait);
        return true;
      }
      const isAnswered = this.#shape.answer(job);
      if (job.at > at) {
        job.isEnsured = false;
        job.waits = 0;
      }
      if (!isAnswered) this.#wait(job, this.#shape.prepare(job));
      else if (job.at < job.end) this.#ready.push(job);
    } catch (error) {
      this.#fail(error, job);
    }
    return true;
  }

  /** The client may have taken replies. */
  flushed(): void {
    this.#shape.flushed();
  }

  /** The client is gone: put-off work is dropped when it comes back. */
  close(): void {
    this.#closed = true;
    for (const job of this.#ready) drop(job);
    this.#ready.length = 0;
    this.#shape.close();
  }

  /** Puts a job off until its next piece is at hand. */
  #wait(job: ReadJob, wait: Promise<void>): void {
    this.#waiting++;
    const arrived = (): void => {
      if (this.#closed) {
        drop(job);
        return;
      }
      this.#waiting--;
      job.isEnsured = true;
      this.#ready.push(job);
      this.#host.wake();
    };
    const lost = (error: unknown): void => {
      if (this.#closed) return;
      this.#replies.later.add(() => {
        this.#waiting--;
        this.#fail(error ?? new Error('failed without a reason'), job);
      });
      this.#host.wake();
    };
    wait.then(arrived, lost);
  }

  #fail(error: unknown, { request, at }: ReadJob): void {
    this.errors++;
    this.#host.readFailed(error, request);
    this.#replies.error(request, nbdErrno(error), describeFailure(error), at);
  }
}

/** Gives back what a job holds that is not going to be answered. */
function drop({ buffer }: ReadJob): void {
  buffer?.release?.(buffer);
}
