// Lists the folder: the files of each blob, the space they take, and when they were used.

import { lstat, readdir } from 'node:fs/promises';
import { OverlaybdError } from '../errors.js';
import { bounded, closeCacheFile, lockExclusive, openIfThere } from './disk.js';
import { removeFiles, USERS_LOCK } from './blob-files.js';
import type { FolderLock } from './folder-lock.js';
import { parseBlobFile, type CacheFolder } from './folder.js';

/** Bytes of a block of st_blocks, whatever the file system has. */
export const STAT_BLOCK = 512;
const SHELF = /^[0-9a-f]{2}$/;

/** The files of one blob that belong together. */
export interface FoundBlob {
  readonly digits: string;
  /** null: complete. */
  readonly nonce: string | null;
  /** With the bytes of the blob; null if it is missing. */
  readonly data: string | null;
  readonly state: string | null;
  /** On disk. */
  readonly bytes: number;
  /** Milliseconds since 1970. */
  readonly lastUsed: number;
}

/** Skips files that are not of the cache. @throws OverlaybdError IO */
export async function scanBlobs(folder: CacheFolder): Promise<FoundBlob[]> {
  const found = new Map<string, FoundBlob>();
  for (const shelf of await namesIn(folder.blobs)) {
    if (!SHELF.test(shelf)) continue;
    // oxlint-disable-next-line no-await-in-loop
    for (const name of await namesIn(`${folder.blobs}/${shelf}`)) {
      const parsed = parseBlobFile(name);
      if (!parsed) continue;
      const path = `${folder.blobs}/${shelf}/${name}`;
      // oxlint-disable-next-line no-await-in-loop
      const status = await bounded(path, () => lstat(path)).catch(orNull);
      if (!status?.isFile()) continue;
      const { digits, nonce, kind } = parsed;
      const key = `${digits}.${nonce ?? ''}`;
      const other = found.get(key);
      found.set(key, {
        digits,
        nonce,
        data: kind === 'state' ? (other?.data ?? null) : path,
        state: kind === 'state' ? path : (other?.state ?? null),
        bytes: (other?.bytes ?? 0) + status.blocks * STAT_BLOCK,
        lastUsed: Math.max(other?.lastUsed ?? 0, Math.floor(status.mtimeMs)),
      });
    }
  }
  return [...found.values()];
}

/** Bytes on disk of the files of a folder. @throws OverlaybdError IO */
export async function bytesIn(folder: string): Promise<number> {
  let bytes = 0;
  for (const name of await namesIn(folder)) {
    const path = `${folder}/${name}`;
    // oxlint-disable-next-line no-await-in-loop
    const status = await bounded(path, () => lstat(path)).catch(orNull);
    if (status?.isFile()) bytes += status.blocks * STAT_BLOCK;
  }
  return bytes;
}

/** @returns [] if there is no such folder. @throws OverlaybdError IO */
export async function namesIn(path: string): Promise<string[]> {
  return (await bounded(path, () => readdir(path)).catch(orNull)) ?? [];
}

/** Removes the files of a blob unless a process uses them. @returns whether they are gone */
export function removeUnused(lock: FolderLock, blob: FoundBlob): Promise<boolean> {
  const paths = [blob.state, blob.data].filter((path) => path !== null);
  return lock.hold(blob.digits, async () => {
    if (blob.data === null) return removed(paths);
    const file = await openIfThere(blob.data);
    if (!file) return true;
    try {
      return lockExclusive(file.fd, USERS_LOCK) && (await removed(paths));
    } finally {
      closeCacheFile(file.fd);
    }
  });
}

/** Whether a process has the files open. @throws OverlaybdError IO */
export async function isUsed({ data }: Pick<FoundBlob, 'data'>): Promise<boolean> {
  if (data === null) return false;
  const file = await openIfThere(data);
  if (!file) return false;
  const isFree = lockExclusive(file.fd, USERS_LOCK);
  closeCacheFile(file.fd);
  return !isFree;
}

async function removed(paths: readonly string[]): Promise<true> {
  await removeFiles(paths);
  return true;
}

/** For files that may have been removed since their names were read. */
function orNull(error: unknown): null {
  if (error instanceof OverlaybdError && error.code === 'NOT_FOUND') return null;
  throw error;
}
