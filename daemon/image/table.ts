// The images that are open, and what the reactors know of them: exports for clients, by name, and
// hidden ones for attached devices. An image stays open while it has a holder. If the image of an export
// cannot be opened, the other exports are served, and the opening is tried again.

import { OverlaybdError } from '../errors.js';
import { ReaderFactory } from './reader-factory.js';
import { Gate } from '../lib/gate.js';
import { inTime } from '../lib/in-time.js';
import type { Logger } from '../log/logger.js';
import { BlobPool } from './blob-pool.js';
import type { ExportSpec, FailedExportSpec } from './export-spec.js';
import { beingOpened, problemOf, retryDelayMs, type ImageProblem } from './problem.js';
import { describeBlobs, type ImageSource } from './image-source.js';
import { Opener, type OpenImage } from './opener.js';
import { NO_REMOTE, type RemoteImages } from './remote.js';

/** Export name to what makes its image. */
export type ExportSources = ReadonlyMap<string, ImageSource>;

/** Images opened at the same time, so that one slow disk does not delay the images on others. */
const PARALLEL_OPENS = 32;
/** An image that takes longer waits for a disk or the opener thread; the next opening starts then. */
const OPEN_TURN_MS = 1000;
/** After this time the exports that are open are served, even if others are still being opened. */
export const OPEN_PATIENCE_MS = 10_000;

/** One hold of an open image, which others may share. Its holder releases it once. */
export interface HeldImage {
  /** Of the image; unique in this process. */
  readonly key: string;
  /** How this holder names the image. */
  readonly source: ImageSource;
  /** For messages: the configuration, or the first blob. */
  readonly name: string;
  readonly fingerprint: string;
  readonly image: Omit<OpenImage, 'name' | 'close'>;
}

/** An export that is not served. */
export interface FailedExport {
  readonly source: ImageSource;
  readonly problem: ImageProblem;
  /** The first opening takes long and has not failed. */
  readonly isOpening: boolean;
}

interface Entry {
  readonly key: string;
  readonly image: OpenImage;
  holders: number;
}

interface Hold extends HeldImage {
  readonly entry: Entry;
}

type Attempt = { readonly held: HeldImage } | { readonly error: unknown };

/** Replaces the exports that the reactors have. */
export type Publish = (exports: readonly ExportSpec[], failed: readonly FailedExportSpec[]) => void;

export class ImageTable {
  readonly #log: Logger;
  readonly #publish: Publish;
  readonly #opener: Opener;
  readonly #patienceMs: number;
  readonly #entries = new Set<Entry>();
  #exports: ReadonlyMap<string, HeldImage> = new Map();
  #failed: ReadonlyMap<string, FailedExport> = new Map();
  readonly #retries = new Map<string, NodeJS.Timeout>();
  readonly #hidden = new Map<string, HeldImage>();
  readonly #gate = new Gate(PARALLEL_OPENS, OPEN_TURN_MS);
  #turn: Promise<unknown> = Promise.resolve();
  #nextKey = 1;
  #isClosed = false;

  /** @param strict whether what is odd about an image is refused */
  constructor(
    log: Logger,
    publish: Publish,
    strict = false,
    patienceMs = OPEN_PATIENCE_MS,
    remote = NO_REMOTE,
  ) {
    this.#patienceMs = patienceMs;
    const images = (): RemoteImages => remote.images();
    const readers = new ReaderFactory(images);
    this.#log = log;
    this.#publish = publish;
    this.#opener = new Opener(new BlobPool(readers, images), readers, strict, undefined, remote);
  }

  /** Those that are served. */
  get exports(): ReadonlyMap<string, HeldImage> {
    return this.#exports;
  }

  /** Those that are not, because their images cannot be opened. */
  get failed(): ReadonlyMap<string, FailedExport> {
    return this.#failed;
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
      throw new OverlaybdError(problem.code, `export ${shown} is not served: ${problem.message}`);
    }
    const known = [...this.#exports.keys()].map((each) => JSON.stringify(each)).join(', ');
    const there = known === '' ? 'is none' : `are ${known}`;
    throw new OverlaybdError('NOT_FOUND', `there is no export named ${shown}; there ${there}`);
  }

  /**
   * Serves these exports in place of those before. What is the same image as before stays open; an
   * export that cannot be opened is failed, and tried again.
   * @param mustOpen whether an export of that name may not fail
   * @returns the images that are no longer exported; the caller releases them when no reactor reads them
   * @throws OverlaybdError when one that may not fail does; the exports are as before then
   */
  setExports(
    exports: ExportSources,
    mustOpen: (name: string) => boolean = () => false,
  ): Promise<HeldImage[]> {
    // In the order in which they were asked for, however long one takes to open.
    const mine = this.#turn.then(() => this.#setExports(exports, mustOpen));
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  async #setExports(
    exports: ExportSources,
    mustOpen: (name: string) => boolean,
  ): Promise<HeldImage[]> {
    const attempts = this.#attemptAll(exports);
    const settled = await this.#settledOf(attempts, mustOpen);
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
    return [...before.values()];
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
  async open(source: ImageSource): Promise<HeldImage> {
    const image = await this.#opener.open(source, ({ identity }, name) => {
      const entry = this.#openEntry(identity);
      return entry && hold(entry, source, name);
    });
    if ('entry' in image) return image;
    if (this.#isClosed) {
      image.close();
      throw new OverlaybdError('BUSY', 'the daemon is stopping');
    }
    for (const note of image.notes) this.#log.log('warn', note);
    // Another caller may have opened it at the same time.
    const shared = image.isShareable ? this.#openEntry(image.marks.identity) : null;
    if (shared) {
      image.close();
      return hold(shared, source, image.name);
    }
    const entry = { key: `image:${this.#nextKey++}`, image, holders: 0 };
    this.#entries.add(entry);
    return hold(entry, source, image.name);
  }

  release(held: HeldImage): void {
    const { entry } = held as Hold;
    if (--entry.holders > 0) return;
    this.#entries.delete(entry);
    entry.image.close();
  }

  /** Opens nothing any more, and tries nothing again. */
  stop(): void {
    this.#isClosed = true;
    this.#stopRetries();
    this.#opener.close();
  }

  /** Closes all images, also those that have holders: the reactors have ended. */
  close(): void {
    this.stop();
    for (const { image } of this.#entries) image.close();
    this.#entries.clear();
  }

  /** An image that may be shared. */
  #openEntry(identity: string): Entry | null {
    const isWanted = ({ image }: Entry): boolean =>
      image.isShareable && image.marks.identity === identity;
    return [...this.#entries].find(isWanted) ?? null;
  }

  /** In the order of the exports; but what is served now, and is likely to be the same, begins first. */
  #attemptAll(exports: ExportSources): Map<string, Promise<Attempt>> {
    const isServed = ([name]: readonly [string, ImageSource]): boolean => this.#exports.has(name);
    const begun = new Map<string, Promise<Attempt>>();
    for (const first of [true, false]) {
      for (const each of exports) {
        if (isServed(each) === first) begun.set(each[0], this.#attempt(each[1]));
      }
    }
    return new Map([...exports.keys()].map((name) => [name, begun.get(name) as Promise<Attempt>]));
  }

  /** Those that are done in time; those that must be opened are waited for in any case. */
  async #settledOf(
    attempts: ReadonlyMap<string, Promise<Attempt>>,
    mustOpen: (name: string) => boolean,
  ): Promise<Map<string, Attempt>> {
    const settled = new Map<string, Attempt>();
    const all = [...attempts].map(async ([name, attempt]) => {
      settled.set(name, await attempt);
    });
    await inTime(Promise.all(all), this.#patienceMs);
    for (const [name, attempt] of attempts) if (mustOpen(name)) settled.set(name, await attempt);
    // In the order of the exports.
    return new Map(
      [...attempts.keys()].flatMap((name) => {
        const attempt = settled.get(name);
        return attempt ? [[name, attempt] as const] : [];
      }),
    );
  }

  #drop(attempt: Attempt): void {
    if ('held' in attempt) this.release(attempt.held);
  }

  async #attempt(source: ImageSource): Promise<Attempt> {
    try {
      return { held: await this.#gate.run(() => this.open(source)) };
    } catch (error) {
      return { error };
    }
  }

  #retryLater(name: string): void {
    const failed = this.#failed.get(name);
    if (!failed || this.#isClosed) return;
    const delay = retryDelayMs(failed.problem);
    const timer = setTimeout(() => void this.#retry(name, failed), delay);
    this.#retries.set(name, timer.unref());
  }

  async #retry(name: string, failed: FailedExport): Promise<void> {
    this.#tried(name, failed, await this.#attempt(failed.source));
  }

  #tried(name: string, failed: FailedExport, attempt: Attempt): void {
    // The exports may be others by now.
    if (this.#failed.get(name) !== failed || this.#isClosed) return this.#drop(attempt);
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

function hold(entry: Entry, source: ImageSource, name: string): Hold {
  entry.holders++;
  const { key, image } = entry;
  return { key, source, name, fingerprint: image.marks.fingerprint, image, entry };
}

function namingExport(name: string, error: unknown): unknown {
  if (!(error instanceof OverlaybdError)) return error;
  const message = `export ${JSON.stringify(name)}: ${error.message}`;
  return new OverlaybdError(error.code, message, { cause: error, facts: { export: name } });
}

function specOf(name: string, { key, image }: HeldImage, hidden: boolean): ExportSpec {
  return { name, description: image.description, key, disk: image.disk, hidden };
}
