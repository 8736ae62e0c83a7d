// The images that are open. Holders of the same blobs share one image; it stays open while it has a holder.

import { OverlaybdError, type ErrorCode } from '../errors.js';
import { monotonicMs } from '../lib/clock.js';
import { openingText, type OpeningProgress } from '../lib/opening-progress.js';
import type { Logger } from '../log/logger.js';
import { BlobPool } from './plan/blob-pool.js';
import type { ImageMarks } from './stack/fingerprint.js';
import { describeBlobs, withSociIndex, type ImageSource } from './plan/image-source.js';
import { Opener, type OpenImage } from '../opener/opener.js';
import { ReaderFactory } from './disks/reader-factory.js';
import type { DiskSpec } from './disks/spec.js';
import { NO_REMOTE, type MendedFile, type Remote, type RemoteImages } from '../registry/remote.js';

/** Codes of a registry that does not give a manifest. */
const NOT_GIVEN: ReadonlySet<ErrorCode> = new Set(['NOT_FOUND', 'REMOTE', 'AUTH']);

/** A line of the log says how far an opening is, at most as often. */
const TELL_MS = 10_000;

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

interface Entry {
  readonly key: string;
  readonly image: OpenImage;
  holders: number;
}

interface Hold extends HeldImage {
  readonly entry: Entry;
}

export class OpenImages {
  readonly #log: Logger;
  readonly #opener: Opener;
  readonly #opened: (image: OpenImage) => void;
  readonly #entries = new Set<Entry>();
  /** Ends of the openings that go on, by identity. They resolve also if nothing was opened. */
  readonly #opening = new Map<string, Promise<void>>();
  /** How far openings are that read layers as a whole, by what is opened. */
  readonly #progress = new Map<ImageSource, OpeningProgress>();
  readonly #toldAt = new Map<ImageSource, number>();
  #nextKey = 1;
  #isStopped = false;

  /**
   * @param strict whether what is odd about an image is refused
   * @param opened called for each image that was not open before
   */
  constructor(
    log: Logger,
    strict: boolean,
    remote: Remote = NO_REMOTE,
    opened: (image: OpenImage) => void = nothing,
  ) {
    const images = (): RemoteImages => remote.images();
    const readers = new ReaderFactory(images);
    this.#log = log;
    this.#opened = opened;
    this.#opener = new Opener(new BlobPool(readers, images), readers, strict, undefined, remote);
  }

  /** How far the openings are that read layers as a whole. */
  get openings(): ReadonlyMap<ImageSource, OpeningProgress> {
    return this.#progress;
  }

  /**
   * @param cancelled ends the opening. Another caller who waits for it opens the image then
   * @throws OverlaybdError when it cannot be opened
   */
  async open(source: ImageSource, cancelled: AbortSignal | null = null): Promise<HeldImage> {
    let end = nothing;
    const ended = new Promise<void>((resolve) => (end = resolve));
    let ours: string | null = null;
    try {
      const begin = (identity: string): Promise<void> | null => {
        const other = this.#opening.get(identity);
        if (!other) this.#opening.set((ours = identity), ended);
        return other ?? null;
      };
      return await this.#open(source, begin, cancelled);
    } finally {
      if (ours !== null) this.#opening.delete(ours);
      this.#progress.delete(source);
      this.#toldAt.delete(source);
      end();
    }
  }

  /** @param begin returns the end of another opening of the same image, or null if this one is the first */
  async #open(
    source: ImageSource,
    begin: (identity: string) => Promise<void> | null,
    cancelled: AbortSignal | null,
  ): Promise<HeldImage> {
    const shared = async ({ identity }: ImageMarks, name: string): Promise<Hold | null> => {
      // A start opens all exports at the same time, and many may be of one image.
      const held = await this.#holdSame(identity, source, name);
      if (held) return held;
      await begin(identity);
      return this.#holdSame(identity, source, name);
    };
    const advanced = (progress: OpeningProgress): void => this.#advanced(source, progress);
    const image = await this.#opener.open(source, shared, advanced, cancelled);
    if ('entry' in image) return image;
    if (this.#isStopped) {
      image.close();
      throw new OverlaybdError('BUSY', 'the daemon is stopping');
    }
    for (const detail of image.details ?? []) this.#log.log('info', detail);
    for (const note of image.notes) this.#log.log('warn', note);
    // Another caller may have opened it at the same time.
    const isOfSameFiles = (each: Entry): boolean => keysOf(each.image) === keysOf(image);
    const other = image.isShareable && this.#entriesOf(image.marks.identity).find(isOfSameFiles);
    if (other) {
      image.close();
      return hold(other, source, image.name);
    }
    const entry = { key: `image:${this.#nextKey++}`, image, holders: 0 };
    this.#entries.add(entry);
    this.#opened(image);
    return hold(entry, source, image.name);
  }

  #advanced(source: ImageSource, progress: OpeningProgress): void {
    this.#progress.set(source, progress);
    const now = monotonicMs();
    if (now - (this.#toldAt.get(source) ?? -Infinity) < TELL_MS) return;
    this.#toldAt.set(source, now);
    const image = describeBlobs(source.blobs);
    this.#log.log('info', `${image}: ${openingText(progress)}`, { image });
  }

  /**
   * Makes damaged decoded copies of an image right, while it stays open.
   * @returns what a disk that is opened now is read from
   * @throws OverlaybdError when it cannot be opened again, or its name stands for another image by now
   */
  async mend(held: HeldImage, copies: readonly MendedFile[]): Promise<DiskSpec> {
    const { entry, source, name } = held as Hold;
    // Its descriptors may be those of other files by now.
    if (!this.#entries.has(entry)) {
      throw new OverlaybdError('BUSY', `${name}: it was closed meanwhile`);
    }
    entry.holders++;
    try {
      return await this.#mend(held as Hold, copies);
    } finally {
      this.#progress.delete(source);
      this.#toldAt.delete(source);
      this.release(held);
    }
  }

  async #mend(held: Hold, copies: readonly MendedFile[]): Promise<DiskSpec> {
    const { name, image } = held;
    const source = withSociIndex(held.source, image.sociIndex);
    let gone: OverlaybdError | null = null;
    if (image.pinned !== null) {
      // Its tag may have been moved.
      const pinned: ImageSource = {
        ...source,
        blobs: [{ kind: 'image', reference: image.pinned }],
      };
      try {
        const disk = await this.#mendBy(pinned, held, copies);
        if (disk) return disk;
      } catch (error) {
        // The tag may still name the same layers. What else fails would fail with the tag, too.
        if (!(error instanceof OverlaybdError) || !NOT_GIVEN.has(error.code)) throw error;
        gone = error;
      }
    }
    const disk = await this.#mendBy(source, held, copies);
    if (disk) return disk;
    throw gone ?? new OverlaybdError('BAD_FORMAT', `${name}: it is another image by now`);
  }

  /** @returns null if the source is another image by now */
  async #mendBy(
    by: ImageSource,
    { source, entry, fingerprint }: Hold,
    copies: readonly MendedFile[],
  ): Promise<DiskSpec | null> {
    const advanced = (progress: OpeningProgress): void => this.#advanced(source, progress);
    const found = await this.#opener.mend(by, entry.image.blobs, copies, advanced);
    return found.fingerprint === fingerprint ? found.disk : null;
  }

  release(held: HeldImage): void {
    const { entry } = held as Hold;
    if (--entry.holders > 0) return;
    this.#entries.delete(entry);
    entry.image.close();
  }

  /** Opens nothing any more. */
  stop(): void {
    this.#isStopped = true;
    this.#opener.close();
  }

  /** Closes all images, also those that have holders. */
  close(): void {
    this.stop();
    for (const { image } of this.#entries) image.close();
    this.#entries.clear();
  }

  /** Holds an image that may be shared, and would be the same if it was opened now. */
  async #holdSame(identity: string, source: ImageSource, name: string): Promise<Hold | null> {
    for (const entry of this.#entriesOf(identity)) {
      // oxlint-disable-next-line no-await-in-loop
      const isSame =
        entry.image.foundFiles.length === 0 || (await this.#opener.isUnchanged(entry.image));
      // It may have been closed meanwhile.
      if (isSame && this.#entries.has(entry)) return hold(entry, source, name);
    }
    return null;
  }

  /** Images that may be shared, of the same layers. */
  #entriesOf(identity: string): Entry[] {
    return [...this.#entries].filter(
      ({ image }) => image.isShareable && image.marks.identity === identity,
    );
  }
}

const nothing = (): void => undefined;

function keysOf({ foundFiles }: OpenImage): string {
  return foundFiles
    .map(({ key }) => key)
    .toSorted()
    .join(' ');
}

function hold(entry: Entry, source: ImageSource, name: string): Hold {
  entry.holders++;
  const { key, image } = entry;
  return { key, source, name, fingerprint: image.marks.fingerprint, image, entry };
}
