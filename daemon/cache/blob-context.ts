// What an open blob needs of its store. Types only.

import type { BlobFiles } from './blob-files.js';
import type { CachedBlob, Completion } from './cached-blob.js';
import type { Health } from './health.js';
import type { Slots } from './slots.js';

export interface BlobContext {
  readonly health: Health;
  readonly slots: Slots;
  /** Bytes that wait for the disk. */
  waitingBytes: number;
  corrupt: number;
  /** Null: it is known what the cache has. Until then files must not grow. */
  readonly measured: () => Promise<void> | null;
  /** Whether files may grow by this much: then it is counted, and `stored` or `notStored` must follow. */
  readonly begin: (bytes: number) => boolean;
  readonly stored: (bytes: number) => void;
  readonly notStored: (bytes: number) => void;
  readonly freed: (bytes: number) => void;
  /** Removes the files of a complete blob whose bytes turned out to be wrong. */
  readonly distrust: (files: BlobFiles) => void;
  /** Does work while no process makes, renames or removes the files. @throws OverlaybdError BUSY */
  readonly alone: <T>(files: BlobFiles, work: () => Promise<T>) => Promise<T>;
  /** Checks and names a blob whose chunks are all in its file. */
  readonly finish: (blob: CachedBlob, files: BlobFiles) => Promise<Completion>;
  readonly released: (blob: CachedBlob) => void;
}
