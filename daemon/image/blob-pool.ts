// Open blobs, shared by every image that has them: one descriptor and one jump table a file,
// however many exports use it. Counted, so that the last user closes it.

import { closeFile } from '../blob/file-jobs.js';
import { describeRef, type BlobRef } from '../blob/blob-ref.js';
import { openBlob } from '../blob/open-blob.js';
import type { OpenFile } from '../blob/open-file.js';
import type { BlobSource } from '../blob/source.js';
import { OverlaybdError } from '../errors.js';
import type { ReaderFactory } from './reader-factory.js';
import { peel } from './peel.js';
import type { SourceSpec } from './spec.js';
import type { Effort } from '../lib/effort.js';

/** A blob without its wrappers, that can be handed from one thread's pool to that of another. */
export interface BlobParts {
  /** The same blob opened twice has the same. */
  readonly key: string;
  readonly fd: number;
  readonly spec: SourceSpec;
}

/** A blob that the holder must release, once. */
export interface PooledBlob extends BlobParts {
  /** Its plain bytes, for this thread. */
  readonly source: BlobSource;
  release(): void;
}

interface Entry {
  readonly fd: number;
  readonly spec: Promise<SourceSpec>;
  users: number;
}

/** Told of every descriptor, by a thread that may be ended at any time. */
export interface DescriptorWatch {
  opened(fd: number): void;
  closed(fd: number): void;
}

export class BlobPool {
  readonly #readers: ReaderFactory;
  readonly #watch: DescriptorWatch | null;
  readonly #entries = new Map<string, Entry>();

  constructor(readers: ReaderFactory, watch: DescriptorWatch | null = null) {
    this.#readers = readers;
    this.#watch = watch;
  }

  /**
   * Opens a file, or takes it from the pool, with its wrappers peeled.
   * @throws OverlaybdError when it cannot be opened or a wrapper is broken, and what `effort` throws
   */
  async open(ref: BlobRef, effort: Effort): Promise<PooledBlob> {
    const file = await this.#file(ref);
    const key = `peeled ${file.identity}`;
    const spec = async (): Promise<SourceSpec> => {
      const blob = await peel(file.spec, this.#readers, undefined, effort);
      if (blob) return blob.spec;
      // A throwing sink leaves no other way to get here.
      throw new OverlaybdError('BAD_FORMAT', `${describeRef(ref)}: cannot be opened`);
    };
    const isFirst = !this.#entries.has(key);
    try {
      return await this.#hold(key, file.fd, spec);
    } catch (error) {
      // The first one's effort may have been what ended it: ours may do.
      if (isFirst) throw error;
      return this.open(ref, effort);
    }
  }

  /** Like open(), for the files of uppers, which have no wrappers ("Wrappers" in docs/formats.md). */
  async openPlain(ref: BlobRef): Promise<PooledBlob> {
    const file = await this.#file(ref);
    return this.#hold(`plain ${file.identity}`, file.fd, () => Promise.resolve(file.spec));
  }

  /** Takes a blob that another thread has opened, or drops it for the one that is there. */
  adopt({ key, fd, spec }: BlobParts): Promise<PooledBlob> {
    this.#watch?.opened(fd);
    return this.#hold(key, fd, () => Promise.resolve(spec));
  }

  async #file(ref: BlobRef): Promise<OpenFile> {
    const file = await openBlob(ref);
    this.#watch?.opened(file.fd);
    return file;
  }

  async #hold(key: string, fd: number, makeSpec: () => Promise<SourceSpec>): Promise<PooledBlob> {
    let entry = this.#entries.get(key);
    if (entry) {
      this.#close(fd);
    } else {
      entry = { fd, spec: makeSpec(), users: 0 };
      this.#entries.set(key, entry);
    }
    const held = entry;
    held.users++;
    let released = false;
    const release = (): void => {
      if (released) return;
      released = true;
      held.users--;
      if (held.users > 0) return;
      this.#entries.delete(key);
      this.#close(held.fd);
    };
    try {
      const spec = await held.spec;
      return { key, fd: held.fd, spec, source: this.#readers.source(spec), release };
    } catch (error) {
      release();
      throw error;
    }
  }

  #close(fd: number): void {
    this.#watch?.closed(fd);
    closeFile(fd);
  }
}
