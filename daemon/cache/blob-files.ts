// The files of one blob in the folder: finds them, or makes them; makes them complete. Files that are not
// what they should be are removed.

import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { readFully } from '../blob/source.js';
import { OverlaybdError } from '../errors.js';
import {
  bounded,
  closeCacheFile,
  diskError,
  hashFile,
  lockShared,
  openCacheFile,
  openDataFile,
  openIfThere,
  sourceOf,
  storeChunk,
  type CacheFile,
} from './disk.js';
import { openOurs, removeName, type ForeignReport } from './foreign.js';
import { waitFor, type FolderLock } from './folder-lock.js';
import { parseBlobFile, type CacheFolder } from './folder.js';
import { sha256Digits } from '../lib/sha256.js';
import { decodeHeader, encodeHeader, stateFileSize } from './state-file.js';

/** Every process that uses the data file holds a shared lock of this byte, so that no other removes or punches it. */
export const USERS_LOCK = 0;

/** The open files of a blob. */
export interface BlobFiles {
  readonly digits: string;
  readonly data: CacheFile;
  /** null: the blob is complete. */
  readonly partial: PartialState | null;
}

export interface PartialState {
  readonly state: CacheFile;
  readonly nonce: string;
  /** The whole state file as it was when it was opened. */
  readonly bytes: Buffer;
}

export interface BlobName {
  /** A sha256 digest. */
  readonly digest: string;
  readonly size: number;
}

/**
 * Opens the files of a blob, and makes them if there are none that can be used.
 * @param report called with each path of the blob that was not a regular file, and was removed
 * @throws OverlaybdError IO, BUSY, UNSUPPORTED for other digests, BAD_FORMAT if the blob has another size
 */
export async function openBlobFiles(
  folder: CacheFolder,
  lock: FolderLock,
  blob: BlobName,
  report: ForeignReport = () => undefined,
): Promise<BlobFiles> {
  const digits = sha256Digits(blob.digest);
  if (digits === null)
    throw new OverlaybdError('UNSUPPORTED', `${blob.digest}: not sha256`, {
      facts: { digest: blob.digest },
    });
  return lock.hold(digits, async () => {
    await makeFolder(folder.shelf(digits));
    return (
      (await openComplete(folder, digits, blob, report)) ??
      (await openPair(folder, digits, blob, report)) ??
      (await makePair(folder, digits, blob))
    );
  });
}

export function closeBlobFiles({ data, partial }: BlobFiles): void {
  if (partial) closeCacheFile(partial.state.fd);
  closeCacheFile(data.fd);
}

/**
 * Gives a blob whose sha256 was checked and whose data is on disk its final name.
 * @throws OverlaybdError IO, BUSY
 */
export async function nameComplete(
  folder: CacheFolder,
  lock: FolderLock,
  { digits, data, partial }: BlobFiles,
): Promise<void> {
  if (!partial) return;
  await lock.hold(digits, async () => {
    const path = folder.complete(digits);
    await bounded(`rename ${data.path}`, () => rename(data.path, path)).catch((error: unknown) => {
      // Another process has completed the same files.
      if (error instanceof OverlaybdError && error.code === 'NOT_FOUND') return;
      throw error;
    });
    await bounded(`remove ${partial.state.path}`, () => rm(partial.state.path, { force: true }));
  });
}

/** Removes files by their names. A process that has them open keeps them. @throws OverlaybdError IO */
export async function removeFiles(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    // oxlint-disable-next-line no-await-in-loop
    await removeName(path);
  }
}

/** @throws OverlaybdError IO */
export async function makeFolder(path: string): Promise<void> {
  try {
    await bounded(`make ${path}`, () => mkdir(path, { mode: 0o700 }));
  } catch (error) {
    if (!String(error).includes('EEXIST')) throw error;
  }
}

async function openComplete(
  folder: CacheFolder,
  digits: string,
  { size }: BlobName,
  report: ForeignReport,
): Promise<BlobFiles | null> {
  const data = await openOurs(folder.complete(digits), report, openData);
  if (!data) return null;
  if (data.size === size) {
    await waitFor(() => lockShared(data.fd, USERS_LOCK), data.path);
    return { digits, data, partial: null };
  }
  try {
    // Either the file was damaged, or the manifest is wrong about the size.
    if ((await hashFile(data)) === digits) {
      throw new OverlaybdError(
        'BAD_FORMAT',
        `sha256:${digits}: a manifest says ${size} bytes, and it has ${data.size}`,
        { facts: { digest: `sha256:${digits}`, expected: `${size}`, got: data.size } },
      );
    }
    await removeFiles([data.path]);
    return null;
  } finally {
    closeCacheFile(data.fd);
  }
}

async function openPair(
  folder: CacheFolder,
  digits: string,
  blob: BlobName,
  report: ForeignReport,
): Promise<BlobFiles | null> {
  const names = await bounded(`read ${folder.shelf(digits)}`, () => readdir(folder.shelf(digits)));
  const nonces = new Set<string>();
  for (const name of names) {
    const parsed = parseBlobFile(name);
    if (parsed?.digits === digits && parsed.nonce !== null) nonces.add(parsed.nonce);
  }
  for (const nonce of [...nonces].toSorted()) {
    const data = folder.data(digits, nonce);
    const state = folder.state(digits, nonce);
    // oxlint-disable-next-line no-await-in-loop
    const found = await openNamed(data, state, { ...blob, nonce, digits }, report);
    if (found === 'other size') continue;
    if (found) return found;
    // oxlint-disable-next-line no-await-in-loop
    await removeFiles([state, data]);
  }
  return null;
}

/**
 * @returns null if they are not a pair. A pair of another size is left alone: a manifest that is wrong about a
 *   size must not remove what others need
 */
async function openNamed(
  dataPath: string,
  statePath: string,
  expected: BlobName & { readonly digits: string; readonly nonce: string },
  report: ForeignReport,
): Promise<BlobFiles | 'other size' | null> {
  const data = await openOurs(dataPath, report, openData);
  if (!data) return null;
  let state: CacheFile | null = null;
  let partial: PartialState | null = null;
  try {
    state = await openOurs(statePath, report);
    if (state?.size !== stateFileSize(data.size)) return null;
    // Before the records are read: a process that uses the file alone may clear some.
    await waitFor(() => lockShared(data.fd, USERS_LOCK), data.path);
    const bytes = await readState(state);
    const header = decodeHeader(bytes);
    const { digest, digits, nonce, size } = expected;
    if (header?.digest !== digest || header.nonce !== nonce || header.size !== data.size) {
      return null;
    }
    if (header.size !== size) return 'other size';
    partial = { state, nonce, bytes };
    return { digits, data, partial };
  } finally {
    if (!partial) {
      closeCacheFile(data.fd);
      if (state) closeCacheFile(state.fd);
    }
  }
}

/** The header comes last: without it the files are removed when they are found. */
async function makePair(folder: CacheFolder, digits: string, blob: BlobName): Promise<BlobFiles> {
  const nonce = randomBytes(8).toString('hex');
  const data = await openDataFile(folder.data(digits, nonce), blob.size);
  let state: CacheFile | null = null;
  try {
    await waitFor(() => lockShared(data.fd, USERS_LOCK), data.path);
    state = await openCacheFile(folder.state(digits, nonce), stateFileSize(blob.size));
    const header = { fd: state.fd, position: 0, bytes: encodeHeader({ ...blob, nonce }) };
    const written = await storeChunk(header, { ...header, bytes: Buffer.alloc(0) });
    if (written < 0) throw diskError(`write ${state.path}`, written);
    return { digits, data, partial: { state, nonce, bytes: await readState(state) } };
  } catch (error) {
    closeCacheFile(data.fd);
    if (state) closeCacheFile(state.fd);
    await removeFiles([folder.state(digits, nonce), data.path]).catch(() => {});
    throw error;
  }
}

const openData = (path: string): Promise<CacheFile | null> => openIfThere(path, openDataFile);

function readState(state: CacheFile): Promise<Buffer> {
  return readFully(sourceOf(state), 0, state.size);
}
