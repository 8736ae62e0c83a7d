// Open blobs, shared by every image that has them: one descriptor and one jump table a file,
// however many exports use it. Counted, so that the last user closes it.

import { closeFile } from '../blob/file-jobs.js';
import { openFile } from '../blob/open-file.js';
import type { ReaderFactory } from '../image/build.js';
import { peel, type PeeledBlob } from '../image/peel.js';
import { OverlaybdError } from '../errors.js';

/** A blob that the holder must release. */
export interface PooledBlob {
  readonly peeled: PeeledBlob;
  readonly fd: number;
  release(): void;
}

interface Entry {
  readonly fd: number;
  readonly peeled: Promise<PeeledBlob>;
  users: number;
}

export class BlobPool {
  readonly #readers: ReaderFactory;
  readonly #entries = new Map<string, Entry>();

  constructor(readers: ReaderFactory) {
    this.#readers = readers;
  }

  /**
   * Opens a file, or takes it from the pool, with its wrappers peeled.
   * @throws OverlaybdError when it cannot be opened or a wrapper is broken
   */
  async open(path: string): Promise<PooledBlob> {
    const file = await openFile(path);
    let entry = this.#entries.get(file.identity);
    if (entry) {
      closeFile(file.fd);
    } else {
      const peeled = peel(file.source, this.#readers).then((blob) => {
        if (blob) return blob;
        // A throwing sink leaves no other way to get here.
        throw new OverlaybdError('BAD_FORMAT', `${path}: cannot be opened`);
      });
      entry = { fd: file.fd, peeled, users: 0 };
      this.#entries.set(file.identity, entry);
    }
    const held = entry;
    held.users++;
    let released = false;
    const release = (): void => {
      if (released) return;
      released = true;
      held.users--;
      if (held.users > 0) return;
      this.#entries.delete(file.identity);
      closeFile(held.fd);
    };
    try {
      return { peeled: await held.peeled, fd: held.fd, release };
    } catch (error) {
      release();
      throw error;
    }
  }
}
