// What the reactors know of the open images: exports for clients, by name, and hidden ones for attached devices.
// If the image of an export cannot be opened, the other exports are served, and the opening is tried again.

import { OverlaybdError } from '../errors.js';
import type { OpeningProgress } from '../lib/opening-progress.js';
import { Turns } from '../lib/turns.js';
import type { Logger } from '../log/logger.js';
import type { ExportSpec, FailedExportSpec } from './disks/export-spec.js';
import { beingOpened, problemOf, retryDelayMs, type ImageProblem } from './problem.js';
import { describeBlobs, type ImageSource } from './plan/image-source.js';
import { OpenAttempts, settledIn, type Attempt } from './open-attempts.js';
import { OpenImages, type HeldImage } from './open-images.js';
import type { OpenImage } from '../opener/opener.js';
import type { DiskSpec } from './disks/spec.js';
import { NO_REMOTE, type MendedFile } from '../registry/remote.js';

/** Export name to what makes its image. */
export type ExportSources = ReadonlyMap<string, ImageSource>;

/** After this time the exports that are open are served, even if others are still being opened. */
export const OPEN_PATIENCE_MS = 10_000;

/** An export that is not served. */
export interface FailedExport {
  readonly source: ImageSource;
  readonly problem: ImageProblem;
  /** The first opening takes long and has not failed. */
  readonly isOpening: boolean;
}

/** Replaces the exports that the reactors have. */
export type Publish = (exports: readonly ExportSpec[], failed: readonly FailedExportSpec[]) => void;

export class ImageTable {
  readonly #log: Logger;
  readonly #publish: Publish;
  readonly #images: OpenImages;
  readonly #patienceMs: number;
  #exports: ReadonlyMap<string, HeldImage> = new Map();
  #failed: ReadonlyMap<string, FailedExport> = new Map();
  readonly #retries = new Map<string, NodeJS.Timeout>();
  readonly #hidden = new Map<string, HeldImage>();
  readonly #attempts: OpenAttempts;
  readonly #turns = new Turns();
  #isStopped = false;

  /**
   * @param strict whether what is odd about an image is refused
   * @param opened called for each image that was not open before
   */
  constructor(
    log: Logger,
    publish: Publish,
    strict = false,
    patienceMs = OPEN_PATIENCE_MS,
    remote = NO_REMOTE,
    opened?: (image: OpenImage) => void,
  ) {
    this.#patienceMs = patienceMs;
    this.#log = log;
    this.#publish = publish;
    this.#images = new OpenImages(log, strict, remote, opened);
    this.#attempts = new OpenAttempts(this.#images);
  }

  /** Those that are served. */
  get exports(): ReadonlyMap<string, HeldImage> {
    return this.#exports;
  }

  /** How far the openings are that read layers as a whole, by what is opened. */
  get openings(): ReadonlyMap<ImageSource, OpeningProgress> {
    return this.#images.openings;
  }

  /** Those that are not, because their images cannot be opened. */
  get failed(): ReadonlyMap<string, FailedExport> {
    return this.#failed;
  }

  /** The name of the image that the reactors have under a name; null: none. */
  nameOf(name: string): string | null {
    return this.heldOf(name)?.name ?? null;
  }

  /** The image that the reactors have under a name; null: none. */
  heldOf(name: string): HeldImage | null {
    return this.#exports.get(name) ?? this.#hidden.get(name) ?? null;
  }

  /** The disk of that image. */
  diskOf(name: string): DiskSpec | null {
    return this.heldOf(name)?.image.disk ?? null;
  }

  /** @see OpenImages.mend */
  mend(held: HeldImage, copies: readonly MendedFile[]): Promise<DiskSpec> {
    return this.#images.mend(held, copies);
  }

  /**
   * What makes the image of an export.
   * @throws OverlaybdError NOT_FOUND when there is none of that name, or why it is not served
   */
  sourceOf(name: string): ImageSource {
    const served = this.#exports.get(name);
    if (served) return served.source;
    const problem = this.#failed.get(name)?.problem;
    const shown = JSON.stringify(name);
    if (problem) {
      const facts = { ...problem.facts, export: name };
      throw new OverlaybdError(problem.code, `export ${shown} is not served: ${problem.message}`, {
        facts,
      });
    }
    const known = [...this.#exports.keys()].map((each) => JSON.stringify(each)).join(', ');
    const there = known === '' ? 'is none' : `are ${known}`;
    throw new OverlaybdError('NOT_FOUND', `there is no export named ${shown}; there ${there}`, {
      facts: { export: name },
    });
  }

  /**
   * Serves these exports instead of those before. What is the same image as before stays open; an
   * export that cannot be opened is failed, and tried again.
   * @param mustOpen whether an export of that name may not fail
   * @returns the images that are no longer exported, by export; the caller releases them when no reactor reads them
   * @throws OverlaybdError when one that may not fail does; the exports are as before then
   */
  setExports(
    exports: ExportSources,
    mustOpen: (name: string) => boolean = () => false,
  ): Promise<ReadonlyMap<string, HeldImage>> {
    // In the order in which they were asked for, however long one takes to open.
    return this.#turns.run(() => this.#setExports(exports, mustOpen));
  }

  async #setExports(
    exports: ExportSources,
    mustOpen: (name: string) => boolean,
  ): Promise<ReadonlyMap<string, HeldImage>> {
    const attempts = this.#attempts.all(exports, (name) => this.#exports.has(name));
    const settled = await settledIn(this.#patienceMs, attempts, mustOpen);
    const opened = new Map<string, HeldImage>();
    for (const [name, attempt] of settled) {
      if ('held' in attempt) opened.set(name, attempt.held);
    }
    const fatal = [...settled].find(([name, attempt]) => 'error' in attempt && mustOpen(name));
    if (fatal && 'error' in fatal[1]) {
      for (const attempt of attempts.values()) void attempt.then((each) => this.#drop(each));
      throw exports.size > 1 ? namingExport(fatal[0], fatal[1].error) : fatal[1].error;
    }
    this.#stopRetries();
    const before = this.#exports;
    const failedBefore = this.#failed;
    const failed = new Map<string, FailedExport>();
    this.#exports = opened;
    this.#failed = failed;
    for (const [name, source] of exports) {
      const attempt = settled.get(name);
      if (!attempt) {
        const entry = { source, problem: beingOpened(), isOpening: true };
        failed.set(name, entry);
        this.#log.log('warn', `export ${JSON.stringify(name)}: ${entry.problem.message}`);
        void attempts.get(name)?.then((late) => this.#tried(name, entry, late));
      } else if ('held' in attempt) {
        if (before.get(name)?.key !== attempt.held.key) this.#announce(name, attempt.held);
      } else {
        const known = failedBefore.get(name)?.problem ?? null;
        failed.set(name, { source, problem: problemOf(attempt.error, known), isOpening: false });
        this.#logFailure(name, 'error');
        this.#retryLater(name);
      }
    }
    this.#republish();
    return before;
  }

  /**
   * Serves an image of {@link open} as one more export, or instead of what has that name; the others stay.
   * @param keep called before the change; nothing changes if it throws
   * @returns the image that is no longer exported, if there is one: the caller releases it when no reactor reads it
   */
  setExport(name: string, held: HeldImage, keep: () => void): Promise<HeldImage | null> {
    return this.#turns.run(async () => {
      keep();
      const before = this.#take(name);
      this.#exports = new Map([...this.#exports, [name, held]]);
      if (before?.key !== held.key) this.#announce(name, held);
      this.#republish();
      return before;
    });
  }

  /** Serves an export no longer. @see {@link setExport} */
  removeExport(name: string, keep: () => void): Promise<HeldImage | null> {
    return this.#turns.run(async () => {
      keep();
      const before = this.#take(name);
      this.#republish();
      return before;
    });
  }

  /** @returns the image that had the name */
  #take(name: string): HeldImage | null {
    const before = this.#exports.get(name) ?? null;
    const others = <T>(exports: ReadonlyMap<string, T>): Map<string, T> =>
      new Map([...exports].filter(([each]) => each !== name));
    this.#exports = others(this.#exports);
    this.#failed = others(this.#failed);
    clearTimeout(this.#retries.get(name));
    this.#retries.delete(name);
    return before;
  }

  /** Makes the image known to the reactors under its key. Clients do not see it. */
  hide(held: HeldImage): void {
    this.#hidden.set(held.key, held);
    this.#republish();
  }

  unhide(held: HeldImage): void {
    if (this.#hidden.delete(held.key)) this.#republish();
  }

  /** @throws OverlaybdError when it cannot be opened */
  open(source: ImageSource, cancelled: AbortSignal | null = null): Promise<HeldImage> {
    return this.#images.open(source, cancelled);
  }

  release(held: HeldImage): void {
    this.#images.release(held);
  }

  /** Opens nothing any more, and tries nothing again. */
  stop(): void {
    this.#isStopped = true;
    this.#stopRetries();
    this.#images.stop();
  }

  /** Closes all images, also those that have holders: the reactors have ended. */
  close(): void {
    this.stop();
    this.#images.close();
  }

  #drop(attempt: Attempt): void {
    if ('held' in attempt) this.release(attempt.held);
  }

  #retryLater(name: string): void {
    const failed = this.#failed.get(name);
    if (!failed || this.#isStopped) return;
    const delay = retryDelayMs(failed.problem);
    const timer = setTimeout(() => void this.#retry(name, failed), delay);
    this.#retries.set(name, timer.unref());
  }

  async #retry(name: string, failed: FailedExport): Promise<void> {
    this.#tried(name, failed, await this.#attempts.one(failed.source));
  }

  #tried(name: string, failed: FailedExport, attempt: Attempt): void {
    // The exports may be others by now.
    if (this.#failed.get(name) !== failed || this.#isStopped) return this.#drop(attempt);
    if ('held' in attempt) {
      this.#retries.delete(name);
      this.#failed = new Map([...this.#failed].filter(([each]) => each !== name));
      this.#exports = new Map([...this.#exports, [name, attempt.held]]);
      this.#announce(name, attempt.held);
      this.#republish();
      return;
    }
    const problem = problemOf(attempt.error, failed.problem);
    this.#failed = new Map([...this.#failed, [name, { ...failed, problem, isOpening: false }]]);
    // The same problem again is logged at debug level only: retries go on every minute.
    this.#logFailure(name, problem.message === failed.problem.message ? 'debug' : 'error');
    if (problem.code !== failed.problem.code) this.#republish();
    this.#retryLater(name);
  }

  #stopRetries(): void {
    for (const timer of this.#retries.values()) clearTimeout(timer);
    this.#retries.clear();
  }

  #announce(name: string, { name: image, image: { description, size } }: HeldImage): void {
    this.#log.log(
      'info',
      `export ${JSON.stringify(name)}: ${image}: ${description}, ${size} bytes`,
      { export: name, image, size },
    );
  }

  #logFailure(name: string, level: 'error' | 'debug'): void {
    const { source, problem } = this.#failed.get(name) as FailedExport;
    const seconds = retryDelayMs(problem) / 1000;
    this.#log.log(
      level,
      `export ${JSON.stringify(name)} is not served: ${problem.message}; tried again in ${seconds} s, and on reload`,
      {
        ...problem.facts,
        export: name,
        image: describeBlobs(source.blobs),
        code: problem.code,
        tries: problem.tries,
      },
    );
  }

  #republish(): void {
    this.#publish(
      [
        ...[...this.#exports].map(([name, held]) => specOf(name, held, false)),
        ...[...this.#hidden].map(([key, held]) => specOf(key, held, true)),
      ],
      [...this.#failed].map(
        ([
          name,
          {
            problem: { code },
          },
        ]) => ({ name, code }),
      ),
    );
  }
}

function namingExport(name: string, error: unknown): unknown {
  if (!(error instanceof OverlaybdError)) return error;
  const message = `export ${JSON.stringify(name)}: ${error.message}`;
  return new OverlaybdError(error.code, message, { cause: error, facts: { export: name } });
}

function specOf(name: string, { key, image }: HeldImage, hidden: boolean): ExportSpec {
  return { name, description: image.description, key, disk: image.disk, hidden };
}
