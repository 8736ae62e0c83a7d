// The blobs of one image while it is opened: each is opened once, however often and by whatever name the
// image has it. They are numbered in the order in which they were opened.

import { keyOfRef, type BlobRef } from '../../blob/blob-ref.js';
import type { BlobPool, PooledBlob } from './blob-pool.js';

export class ImageBlobs {
  readonly #pool: BlobPool;
  readonly #byName = new Map<string, Promise<PooledBlob>>();
  readonly #byKey = new Map<string, PooledBlob>();

  constructor(pool: BlobPool) {
    this.#pool = pool;
  }

  /** Each once, by number. */
  get all(): PooledBlob[] {
    return [...this.#byKey.values()];
  }

  /** Opens a blob that may have wrappers. @throws OverlaybdError if that is not possible */
  open(ref: BlobRef): Promise<PooledBlob> {
    return this.#open(ref, false);
  }

  /** Opens a file of an upper. @throws OverlaybdError if that is not possible */
  openPlain(ref: BlobRef): Promise<PooledBlob> {
    return this.#open(ref, true);
  }

  numberOf({ key }: PooledBlob): number {
    return [...this.#byKey.keys()].indexOf(key);
  }

  /** The image is open: readers do without them. */
  forgetEdges(): void {
    for (const blob of this.#byKey.values()) blob.forgetEdges();
  }

  /** Gives all of them back. */
  release(): void {
    for (const blob of this.#byKey.values()) blob.release();
    this.#byKey.clear();
    this.#byName.clear();
  }

  #open(ref: BlobRef, isPlain: boolean): Promise<PooledBlob> {
    const name = `${isPlain ? 'plain' : 'wrapped'} ${keyOfRef(ref)}`;
    let opening = this.#byName.get(name);
    if (!opening) {
      opening = this.#openOnce(ref, isPlain);
      this.#byName.set(name, opening);
    }
    return opening;
  }

  async #openOnce(ref: BlobRef, isPlain: boolean): Promise<PooledBlob> {
    const blob = await this.#pool.open(ref, isPlain);
    const known = this.#byKey.get(blob.key);
    if (!known) {
      this.#byKey.set(blob.key, blob);
      return blob;
    }
    blob.release();
    return known;
  }
}

/** Opens blobs of an image. */
export type BlobOpener = Pick<ImageBlobs, 'open' | 'openPlain'>;

/** Opens blobs of an image, and knows which. */
export class NotedBlobs implements BlobOpener {
  readonly #files: BlobOpener;
  readonly #opened = new Set<PooledBlob>();

  constructor(files: BlobOpener) {
    this.#files = files;
  }

  /** Each once: those that were opened by this. */
  get all(): PooledBlob[] {
    return [...this.#opened];
  }

  open(ref: BlobRef): Promise<PooledBlob> {
    return this.#note(this.#files.open(ref));
  }

  openPlain(ref: BlobRef): Promise<PooledBlob> {
    return this.#note(this.#files.openPlain(ref));
  }

  async #note(opening: Promise<PooledBlob>): Promise<PooledBlob> {
    const blob = await opening;
    this.#opened.add(blob);
    return blob;
  }
}
