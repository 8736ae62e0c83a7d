// A thread that opens images, one after the other, as the main thread sees it: starts it, ends it after the last image or
// when it makes no progress, and closes what it leaves open.

import type { Worker } from 'node:worker_threads';
import { closeFile } from '../blob/file-jobs.js';
import { OverlaybdError } from '../errors.js';
import { startThread } from '../lib/thread.js';
import { memory } from '../native/memory.js';
import { describeBlobs } from '../image/plan/image-source.js';
import type { FromOpener, OpenRequest, PostedImage } from './messages.js';
import type { OpeningProgress } from '../lib/opening-progress.js';
import { fileOf } from '../image/disks/spec.js';
import { notWanted, WaitingOpenings } from './waiting-openings.js';
import { errorOf } from '../lib/fault.js';
import { rebuiltError } from '../lib/posted-error.js';

const ENTRY = new URL('../opener/worker.js', import.meta.url);
/**
 * V8's heap of the thread: a configuration of 4 MiB fits; indexes and tables are not part of it. Layers of files may have half of
 * it (MAX_TREE_HEAP).
 */
const OPENER_HEAP_MB = 384;
/** How long an opening may be without progress. A read of a disk that does not answer fails long before. */
export const OPEN_TIMEOUT_MS = 120_000;
/** The limit of one opening that does advance, unless it reads layers as a whole. Other images wait for the thread. */
const OPEN_LIMIT_MS = 30 * 60_000;

interface Job {
  readonly request: OpenRequest;
  advanced(progress: OpeningProgress): void;
  resolve(image: PostedImage | 'whole'): void;
  reject(error: Error): void;
}

/** What a thread has done since its loop began: milliseconds of work, and of waiting. */
export interface LoopTimes {
  readonly activeMs: number;
  readonly idleMs: number;
}

/** One thread that opens one image at a time and ends after the last. */
export class OpenerLane {
  readonly #timeoutMs: number;
  readonly #waiting = new WaitingOpenings<Job>();
  #current: Job | null = null;
  #worker: Worker | null = null;
  /** Since the opening last advanced. */
  #timer: NodeJS.Timeout | null = null;
  /** Since the opening began. */
  #limit: NodeJS.Timeout | null = null;
  /** Descriptors that only the current thread owns. */
  #descriptors = new Set<number>();
  #isClosed = false;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** Images that are being opened, or wait for that. */
  get length(): number {
    return this.#waiting.length + (this.#current ? 1 : 0);
  }

  /** @returns null if there is no thread */
  times(): LoopTimes | null {
    if (!this.#worker) return null;
    const { active, idle } = this.#worker.performance.eventLoopUtilization();
    return { activeMs: active, idleMs: idle };
  }

  /**
   * @param advanced called with how much of the image has been read, if its layers are read as a whole
   * @param cancelled ends the opening
   * @returns 'whole' if they must be, and the request does not allow it
   * @throws OverlaybdError, also when the image was too much for the thread
   */
  open(
    request: OpenRequest,
    advanced: (progress: OpeningProgress) => void,
    cancelled: AbortSignal | null = null,
  ): Promise<PostedImage | 'whole'> {
    if (this.#isClosed || cancelled?.aborted) {
      request.fetcher?.port.close();
      return Promise.reject(this.#isClosed ? stopping() : notWanted());
    }
    return new Promise((resolve, reject) => {
      const job = { request, advanced, resolve, reject };
      cancelled?.addEventListener('abort', () => this.#cancel(job), { once: true });
      this.#waiting.add(job);
      this.#next();
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#end();
    this.#current?.reject(stopping());
    this.#current = null;
    this.#waiting.refuseAll(stopping());
  }

  #cancel(job: Job): void {
    if (this.#waiting.refuse(job, notWanted()) || job !== this.#current) return;
    this.#end();
    this.#done(() => job.reject(notWanted()));
  }

  #next(): void {
    if (this.#current || this.#isClosed) return;
    const job = this.#waiting.next();
    if (!job) return this.#end();
    this.#current = job;
    this.#worker ??= this.#start();
    const silence = `opening it made no progress for ${this.#timeoutMs / 1000} s; check the disk or host that has it`;
    const excess = `it could not be opened within ${OPEN_LIMIT_MS / 60_000} min`;
    this.#timer = setTimeout(() => this.#timedOut(silence), this.#timeoutMs);
    const { fetcher, readsWhole } = job.request;
    if (!readsWhole) this.#limit = setTimeout(() => this.#timedOut(excess), OPEN_LIMIT_MS);
    this.#worker.postMessage(job.request, fetcher ? [fetcher.port] : []);
  }

  #start(): Worker {
    const worker = startThread(ENTRY, {
      name: 'opener',
      // Its descriptors go to the main thread and outlive it.
      trackUnmanagedFds: false,
      resourceLimits: { maxOldGenerationSizeMb: OPENER_HEAP_MB },
    });
    const descriptors = (this.#descriptors = new Set());
    worker.on('message', (message: FromOpener) => {
      // Also from a thread that is ending: its descriptor numbers may have been reused.
      if (message.type === 'descriptor') {
        if (message.open) descriptors.add(message.fd);
        else descriptors.delete(message.fd);
      } else if (worker === this.#worker) {
        this.#onMessage(message);
      }
    });
    worker.on('error', (error: NodeJS.ErrnoException) => {
      if (worker === this.#worker) this.#died(error);
    });
    return worker;
  }

  #onMessage(message: Exclude<FromOpener, { type: 'descriptor' }>): void {
    switch (message.type) {
      case 'advanced':
        this.#timer?.refresh();
        if (message.progress) this.#current?.advanced(message.progress);
        return;
      case 'whole':
        return this.#done((job) => job.resolve('whole'));
      case 'opened':
        for (const { raw } of message.image.blobs) {
          const file = fileOf(raw);
          if (file) this.#descriptors.delete(file.fd);
        }
        return this.#done((job) => job.resolve(message.image));
      case 'failed':
        return this.#done((job) => job.reject(rebuiltError(message.error)));
      case 'bug':
        return this.#done((job) => job.reject(new Error(message.stack)));
    }
  }

  #done(tell: (job: Job) => void): void {
    const job = this.#current;
    this.#current = null;
    this.#stopTimers();
    if (job) tell(job);
    this.#next();
  }

  #timedOut(why: string): void {
    this.#end();
    this.#refuse(why);
  }

  #stopTimers(): void {
    if (this.#timer) clearTimeout(this.#timer);
    if (this.#limit) clearTimeout(this.#limit);
    this.#timer = null;
    this.#limit = null;
  }

  #died(error: NodeJS.ErrnoException): void {
    this.#end();
    if (error.code === 'ERR_WORKER_OUT_OF_MEMORY') {
      this.#refuse(`opening it takes more than ${OPENER_HEAP_MB} MiB of heap`);
    } else {
      // A bug in the daemon.
      this.#done((job) => job.reject(error));
    }
  }

  #refuse(why: string): void {
    this.#done((job) => {
      const image = describeBlobs(job.request.source.blobs);
      job.reject(errorOf('LIMIT', { image }, why));
    });
  }

  #end(): void {
    this.#stopTimers();
    const worker = this.#worker;
    const left = this.#descriptors;
    this.#worker = null;
    if (worker) void ended(worker, left);
  }
}

/** @param left descriptors: until it has ended, the thread may read from them and report more of them */
async function ended(worker: Worker, left: ReadonlySet<number>): Promise<void> {
  await worker.terminate();
  left.forEach((fd) => closeFile(fd));
  memory.returnFreeMemory();
}

function stopping(): OverlaybdError {
  return new OverlaybdError('BUSY', 'the daemon is stopping');
}
