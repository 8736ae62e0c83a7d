// Opens images for the main thread without blocking it: small ones on the main thread, which does other
// work between the steps, and large ones on a thread of their own, which may run out of memory.

import type { Worker } from 'node:worker_threads';
import { closeFile } from '../blob/file-jobs.js';
import { UNBOUNDED } from '../lib/effort.js';
import { startThread } from '../lib/thread.js';
import { OverlaybdError } from '../errors.js';
import type { ReaderFactory } from './reader-factory.js';
import { NO_REMOTE, type Remote } from '../registry/remote.js';
import { cachedOf, fileOf, type DiskSpec } from './spec.js';
import type { BlobParts, BlobPool } from './blob-pool.js';
import type { ImageMarks } from './fingerprint.js';
import { ImageEffort, TooLargeHere } from './effort.js';
import {
  diskOf,
  openImage,
  openedBlob,
  type ImageFacts,
  type OpenedBlob,
  type OpenedImage,
  type ShapeLayer,
} from './open.js';
import { describeBlobs, type ImageSource } from './image-source.js';
import { lookupOf } from '../pieces/piece-lookup.js';
import { newPlaces } from '../pieces/shared-members.js';
import type { FromOpener, OpenRequest, PostedImage } from './opener-messages.js';

const ENTRY = new URL('../image/opener-thread.js', import.meta.url);
/** V8's heap of the thread: a configuration of 4 MiB fits; indexes and tables are not part of it. */
const OPENER_HEAP_MB = 256;
/** How long an opening may be without progress. A read of a disk that does not answer fails long before. */
const OPEN_TIMEOUT_MS = 120_000;
/** The limit of one opening that does advance: a large layer in gzip takes minutes. Other images wait for the thread. */
const OPEN_LIMIT_MS = 30 * 60_000;

/** An opened image. Its owner closes it after all reactors have dropped it. */
export interface OpenImage extends ImageFacts {
  /** The configuration, or the first blob, as it was named. */
  readonly name: string;
  readonly disk: DiskSpec;
  /** Aborted when the image is closed, before a descriptor of its disk is. */
  readonly closed: () => AbortSignal;
  close(): void;
}

export class Opener {
  readonly #pool: BlobPool;
  readonly #readers: ReaderFactory;
  readonly #strict: boolean;
  readonly #remote: Remote;
  readonly #thread: OpenerThread;

  /** @param strict whether what is odd is refused */
  constructor(
    pool: BlobPool,
    readers: ReaderFactory,
    strict: boolean,
    timeoutMs = OPEN_TIMEOUT_MS,
    remote = NO_REMOTE,
  ) {
    this.#pool = pool;
    this.#readers = readers;
    this.#strict = strict;
    this.#remote = remote;
    this.#thread = new OpenerThread(timeoutMs);
  }

  /**
   * Opens an image.
   * @param shared gets the marks and the name of the image and returns it if it is open already
   * @throws OverlaybdError for the first thing that is wrong; nothing stays open then
   */
  async open<T>(
    source: ImageSource,
    shared: (marks: ImageMarks, name: string) => T | null | Promise<T | null>,
  ): Promise<OpenImage | T> {
    try {
      const effort = new ImageEffort(true);
      const options = {
        pool: this.#pool,
        readers: this.#readers,
        remote: () => this.#remote.images(),
        effort,
        strict: this.#strict,
      };
      const opened = await openImage(source, options, async (marks, name) => {
        const found = await shared(marks, name);
        return found === null ? null : { found };
      });
      return 'found' in opened ? opened.found : toOpenImage(opened, opened.blobs);
    } catch (error) {
      if (!(error instanceof TooLargeHere)) throw error;
    }
    // The first attempt has asked the fetcher, if the image needs it.
    const fetcher = this.#remote.connect();
    const posted = await this.#thread.open({ source, strict: this.#strict, fetcher });
    return toOpenImage(posted, await this.#adopt(posted.blobs));
  }

  /** Ends the thread, whatever it does. */
  close(): void {
    this.#thread.close();
  }

  async #adopt(parts: readonly BlobParts[]): Promise<OpenedBlob[]> {
    for (const { ref, raw } of parts) {
      const cached = cachedOf(raw);
      if (cached && ref.kind === 'registry') this.#remote.adopt(ref, cached);
    }
    const blobs = parts.map((each) => this.#pool.adopt(each));
    return Promise.all(blobs.map((blob) => openedBlob(blob, UNBOUNDED)));
  }
}

function toOpenImage(
  { shape, ...facts }: Omit<OpenedImage, 'blobs'>,
  blobs: readonly OpenedBlob[],
): OpenImage {
  // A start that has nothing to fetch loads no AbortController.
  let ending: AbortController | null = null;
  let isClosed = false;
  const closed = (): AbortSignal => {
    ending ??= new AbortController();
    if (isClosed) ending.abort();
    return ending.signal;
  };
  const close = (): void => {
    isClosed = true;
    ending?.abort();
    blobs.forEach((blob) => blob.release());
  };
  const disk = diskOf({ ...shape, layers: shape.layers.map(withPlaces) }, blobs);
  return { ...facts, disk, closed, close };
}

/** Has all threads share what they decode. */
function withPlaces(layer: ShapeLayer): ShapeLayer {
  if (typeof layer === 'number' || layer.kind !== 'around') return layer;
  const { spec } = layer;
  if (spec.kind !== 'pieces') return layer;
  return { ...layer, spec: { ...spec, shared: newPlaces(lookupOf(spec.table).members) } };
}

interface Job {
  readonly request: OpenRequest;
  resolve(image: PostedImage): void;
  reject(error: Error): void;
}

/** One thread that opens one image at a time and ends after the last. */
class OpenerThread {
  readonly #timeoutMs: number;
  readonly #waiting: Job[] = [];
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

  /** @throws OverlaybdError, also when the image was too much for the thread */
  open(request: OpenRequest): Promise<PostedImage> {
    if (this.#isClosed) return Promise.reject(stopping());
    return new Promise((resolve, reject) => {
      this.#waiting.push({ request, resolve, reject });
      this.#next();
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#end();
    for (const job of [this.#current, ...this.#waiting.splice(0)]) {
      job?.reject(stopping());
    }
    this.#current = null;
  }

  #next(): void {
    if (this.#current || this.#isClosed) return;
    const job = this.#waiting.shift();
    if (!job) return this.#end();
    this.#current = job;
    this.#worker ??= this.#start();
    const silence = `opening it made no progress for ${this.#timeoutMs / 1000} s; does the disk or host that has it answer?`;
    const excess = `it could not be opened within ${OPEN_LIMIT_MS / 60_000} min`;
    this.#timer = setTimeout(() => this.#timedOut(silence), this.#timeoutMs);
    this.#limit = setTimeout(() => this.#timedOut(excess), OPEN_LIMIT_MS);
    const { fetcher } = job.request;
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
        return;
      case 'opened':
        for (const { raw } of message.image.blobs) {
          const file = fileOf(raw);
          if (file) this.#descriptors.delete(file.fd);
        }
        return this.#done((job) => job.resolve(message.image));
      case 'failed':
        return this.#done((job) =>
          job.reject(new OverlaybdError(message.code, message.message, { facts: message.facts })),
        );
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
      const name = describeBlobs(job.request.source.blobs);
      job.reject(new OverlaybdError('LIMIT', `${name}: ${why}`));
    });
  }

  #end(): void {
    this.#stopTimers();
    const worker = this.#worker;
    const left = this.#descriptors;
    this.#worker = null;
    // Until it has ended, the thread may read from them and report more of them.
    void worker?.terminate().then(() => left.forEach((fd) => closeFile(fd)));
  }
}

function stopping(): OverlaybdError {
  return new OverlaybdError('BUSY', 'the daemon is stopping');
}
