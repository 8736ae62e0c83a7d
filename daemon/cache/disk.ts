// Files of the cache: every call that may wait for a disk is a job of the file pool, with its deadline, so that
// the thread of the fetcher waits for no disk. Locks do not wait.

import { createHash } from 'node:crypto';
import { statfs } from 'node:fs/promises';
import { runFileJob } from '../blob/file-jobs.js';
import { FileSource } from '../blob/file-source.js';
import { readFully } from '../blob/source.js';
import { EISDIR, ELOOP, ENOENT, ENXIO, ETIMEDOUT, errnoText } from '../lib/errno.js';
import { Gate } from '../lib/gate.js';
import { inTime } from '../lib/in-time.js';
import { OverlaybdError } from '../errors.js';
import { errorOf } from '../lib/fault.js';
import { cacheFiles, LOCK_EXCLUSIVE, LOCK_NONE, LOCK_SHARED } from '../native/cache-file.js';
import { files } from '../native/file.js';

/** The message of the addon for a FIFO or a device. */
const ENOTBLK = 15;
/** The errors of opening something that is not a regular file. ELOOP: a symbolic link, which is not followed. */
const NO_FILE = [ENOTBLK, ELOOP, EISDIR, ENXIO];

/** A file of the cache that is open. */
export interface CacheFile {
  readonly fd: number;
  readonly size: number;
  readonly path: string;
}

/** @returns negative if it failed: -errno, -ETIMEDOUT when the disk did not answer in time */
async function job(start: (id: number) => number): Promise<number> {
  return (await runFileJob(start)).result;
}

/**
 * Opens a file to read and write it. It is closed with this thread, even if the thread dies of a bug: otherwise
 * its locks would stay.
 * @param create the size of a file that is made if there is none; null: it must be there
 * @throws OverlaybdError NOT_FOUND, IO, UNSUPPORTED if it is not a regular file
 */
export function openCacheFile(path: string, create: number | null): Promise<CacheFile> {
  return open(path, create, true);
}

/** The same for a data file, which readers of other threads use: they go on if this thread dies. */
export function openDataFile(path: string, create: number | null): Promise<CacheFile> {
  return open(path, create, false);
}

async function open(path: string, create: number | null, own: boolean): Promise<CacheFile> {
  const { result, values } = await runFileJob((id) =>
    cacheFiles.startOpen(id, path, create ?? 0, create === null ? 0 : 1, own ? 1 : 0),
  );
  if (NO_FILE.includes(-result)) {
    throw errorOf('UNSUPPORTED', { path }, 'not a regular file');
  }
  if (result < 0) throw diskError(`open ${path}`, result);
  return { fd: result, size: values[0] as number, path };
}

export function closeCacheFile(fd: number): void {
  files.close(fd);
}

/** Writes a chunk and then its record. @returns 0 or -errno */
export function storeChunk(
  data: { readonly fd: number; readonly position: number; readonly bytes: Uint8Array },
  state: { readonly fd: number; readonly position: number; readonly bytes: Uint8Array },
): Promise<number> {
  return job((id) =>
    cacheFiles.startStore(
      id,
      data.fd,
      data.position,
      data.bytes,
      state.fd,
      state.position,
      state.bytes,
    ),
  );
}

/** @returns the CRC-32C, or -errno */
export function checksumRange(
  fd: number,
  position: number,
  length: number,
  seed: number,
): Promise<number> {
  return job((id) => cacheFiles.startChecksum(id, fd, position, length, seed));
}

/** Clears records, then punches a hole; `length` may be 0. @returns 0 or -errno */
export function punchRange(
  data: { readonly fd: number; readonly position: number; readonly length: number },
  state: { readonly fd: number; readonly position: number; readonly length: number },
): Promise<number> {
  return job((id) =>
    cacheFiles.startPunch(
      id,
      data.fd,
      data.position,
      data.length,
      state.fd,
      state.position,
      state.length,
    ),
  );
}

/** @returns whether this description has the lock now */
export function lockShared(fd: number, position: number): boolean {
  return cacheFiles.lock(fd, position, 1, LOCK_SHARED) === 0;
}

/** A shared lock of the same description becomes exclusive, and stays shared if it cannot. */
export function lockExclusive(fd: number, position: number, length = 1): boolean {
  return cacheFiles.lock(fd, position, length, LOCK_EXCLUSIVE) === 0;
}

export function unlock(fd: number, position: number, length = 1): void {
  cacheFiles.lock(fd, position, length, LOCK_NONE);
}

/** @param what a path, with or without what is done: "write /var/cache/x" */
export function diskError(what: string, errno: number): OverlaybdError {
  const code = errno === -ENOENT ? 'NOT_FOUND' : 'IO';
  const path = /^(?:[a-z]+ )?(\/[^]*)$/.exec(what)?.[1];
  const facts = path === undefined ? {} : { path };
  return new OverlaybdError(code, `${what}: ${errnoText(-errno)}`, { facts });
}

/** libuv has four threads for all calls of the process. A disk that does not answer gets no more than two. */
const calls = new Gate(2);

/**
 * Waits for a call of node:fs about names, for which the file pool has no jobs. Such calls have no deadline of
 * their own.
 * @throws OverlaybdError IO if it fails or is not done within the deadline of file jobs, NOT_FOUND
 */
export async function bounded<T>(what: string, call: () => Promise<T>): Promise<T> {
  const work = calls.run(call);
  try {
    if (await inTime(work, files.deadline())) return await work;
  } catch (error) {
    const { errno } = error as NodeJS.ErrnoException;
    if (errno === undefined) throw error;
    throw diskError(what, errno);
  }
  throw diskError(what, -ETIMEDOUT);
}

/** Bytes that programs without privileges may still write to the disk of a path. @throws OverlaybdError IO */
export async function freeBytes(path: string): Promise<number> {
  const { bavail, bsize } = await bounded(path, () => statfs(path));
  return bavail * bsize;
}

/** @returns null if it is not there. @throws OverlaybdError IO, UNSUPPORTED if it is not a regular file */
export async function openIfThere(path: string, opener = openCacheFile): Promise<CacheFile | null> {
  try {
    return await opener(path, null);
  } catch (error) {
    if (error instanceof OverlaybdError && error.code === 'NOT_FOUND') return null;
    throw error;
  }
}

/** Bytes that are hashed at a time: this takes less than a millisecond. */
const PIECE = 256 << 10;

/** The bytes of a file as a source, for reads that wait as jobs do. */
export function sourceOf({ fd, size, path }: CacheFile): FileSource {
  return new FileSource({ kind: 'file', name: path, fd, base: 0, size });
}

/** The sha256 of a whole file, in hexadecimal digits. @throws OverlaybdError IO, SHORT_READ */
export async function hashFile(file: CacheFile): Promise<string> {
  const source = sourceOf(file);
  const { size } = file;
  const hash = createHash('sha256');
  for (let at = 0; at < size; at += PIECE) {
    // oxlint-disable-next-line no-await-in-loop
    hash.update(await readFully(source, at, Math.min(PIECE, size - at)));
  }
  return hash.digest('hex');
}
