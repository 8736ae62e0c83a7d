// What `overlaybd-nbd cache` does with a folder, with or without a daemon: list, remove, collect, verify.
// Leaves blobs alone that a process has locked.

import { lstat, rm } from 'node:fs/promises';
import { chunkLength, CHUNK_SIZE, chunksOf } from '../blob/chunk-map.js';
import { readFully } from '../blob/source.js';
import { codeOf, OverlaybdError } from '../errors.js';
import { sha256Digits } from '../lib/sha256.js';
import { removeFiles, USERS_LOCK } from './blob-files.js';
import type { CacheCheck, CacheEntry, Collected } from './cached-blob.js';
import {
  bounded,
  checksumRange,
  closeCacheFile,
  lockExclusive,
  hashFile,
  openIfThere,
  punchRange,
  sourceOf,
  unlock,
  type CacheFile,
} from './disk.js';
import type { FolderLock } from './folder-lock.js';
import type { CacheFolder } from './folder.js';
import { isUsed, namesIn, removeUnused, scanBlobs, type FoundBlob } from './scan.js';
import { MAX_RECORD, recordContent, RECORD_HEADER_SIZE } from './record-bytes.js';
import { isRecordUsed, removeRecord, scanRecords, type FoundRecord } from './record-files.js';
import { removeOldRefs } from './old-refs.js';
import { readWhole, TEMPORARY } from './small-files.js';
import {
  decodeHeader,
  RecordFormat,
  recordPosition,
  RECORD_SIZE,
  STATE_HEADER_SIZE,
  stateFileSize,
  type StateHeader,
} from './state-file.js';

const DAY_MS = 24 * 3600 * 1000;
/** A manifest, a tag, the size of a blob or the record of a layer that was not used for this long is collected. */
const UNUSED_DAYS = 90;
/** A temporary file that is older belongs to no process that is still writing it. */
const TEMPORARY_DAYS = 1;

/** @throws OverlaybdError IO */
export async function listCache(folder: CacheFolder): Promise<CacheEntry[]> {
  const entries: CacheEntry[] = [];
  const blobs = await scanBlobs(folder);
  for (const blob of blobs) {
    entries.push({
      digest: `sha256:${blob.digits}`,
      // oxlint-disable-next-line no-await-in-loop
      size: await sizeOf(blob),
      bytes: blob.bytes,
      isComplete: blob.nonce === null,
      // oxlint-disable-next-line no-await-in-loop
      isUsed: await isUsed(blob),
      lastUsed: blob.lastUsed,
      what: 'blob',
    });
  }
  for (const record of await scanRecords(folder)) {
    const { digits, bytes, lastUsed } = record;
    // oxlint-disable-next-line no-await-in-loop
    const isPinned = await isRecordUsed(record, blobs);
    const state = { size: bytes, bytes, isComplete: true, isUsed: isPinned, lastUsed };
    entries.push({ digest: `sha256:${digits}`, ...state, what: 'record' });
  }
  return entries;
}

/** @throws OverlaybdError BUSY if a process has it open, NOT_FOUND, IO */
export async function removeFromCache(
  folder: CacheFolder,
  lock: FolderLock,
  digest: string,
): Promise<void> {
  const digits = sha256Digits(digest);
  const found = (await scanBlobs(folder)).filter((blob) => blob.digits === digits);
  const records = (await scanRecords(folder)).filter((record) => record.digits === digits);
  if (found.length === 0 && records.length === 0) {
    throw new OverlaybdError('NOT_FOUND', `${folder.path}: ${digest} is not in the cache`, {
      facts: { digest },
    });
  }
  for (const blob of found) {
    // oxlint-disable-next-line no-await-in-loop
    if (await removeUnused(lock, blob)) continue;
    throw new OverlaybdError(
      'BUSY',
      `${digest}: a process has it open; remove or detach the exports that use it first`,
      { facts: { digest } },
    );
  }
  for (const record of records) {
    // oxlint-disable-next-line no-await-in-loop
    if (record.isTemporary && (await isRecordUsed(record, []))) continue;
    // oxlint-disable-next-line no-await-in-loop
    await removeRecord(record);
  }
}

/**
 * Removes what nothing can use: files without their other half, files of broken writes, old manifests, tags and sizes.
 * @throws OverlaybdError IO
 */
export async function collectGarbage(folder: CacheFolder, lock: FolderLock): Promise<Collected> {
  let freedBytes = 0;
  let blobsGone = 0;
  let recordsGone = 0;
  for (const blob of await scanBlobs(folder)) {
    // oxlint-disable-next-line no-await-in-loop
    if (await isWhole(blob)) continue;
    // oxlint-disable-next-line no-await-in-loop
    if (!(await removeUnused(lock, blob))) continue;
    freedBytes += blob.bytes;
    blobsGone++;
  }
  const blobs = await scanBlobs(folder);
  const kept = new Set<string>();
  for (const record of await scanRecords(folder)) {
    // oxlint-disable-next-line no-await-in-loop
    if (await isRecordUsed(record, blobs)) kept.add(record.path);
  }
  for (const small of [folder.manifests, folder.records]) {
    // oxlint-disable-next-line no-await-in-loop
    for (const name of await namesIn(small)) {
      if (kept.has(`${small}/${name}`)) continue;
      const days = TEMPORARY.test(name) ? TEMPORARY_DAYS : UNUSED_DAYS;
      // oxlint-disable-next-line no-await-in-loop
      const freed = await removeOld(`${small}/${name}`, days * DAY_MS);
      if (freed === null) continue;
      freedBytes += freed;
      if (small === folder.records) recordsGone++;
    }
  }
  const ages = { unusedMs: UNUSED_DAYS * DAY_MS, temporaryMs: TEMPORARY_DAYS * DAY_MS };
  freedBytes += await removeOldRefs(folder, ages);
  return { freedBytes, blobs: blobsGone, records: recordsGone };
}

/**
 * Checks every byte that is kept. Wrong chunks are not used from now on, unless a process has the blob open.
 * @param checked is called after each blob
 * @throws OverlaybdError IO
 */
export async function verifyCache(
  folder: CacheFolder,
  lock: FolderLock,
  checked: (check: CacheCheck) => void = () => {},
): Promise<CacheCheck[]> {
  const checks: CacheCheck[] = [];
  for (const blob of await scanBlobs(folder)) {
    // oxlint-disable-next-line no-await-in-loop
    const check = await verifyBlob(lock, blob);
    if (!check) continue;
    checks.push(check);
    checked(check);
  }
  for (const record of await scanRecords(folder)) {
    // Every read of a copy compares it with the digests in the record. What is being written is nothing yet.
    if (record.isCopy || record.isTemporary) continue;
    // oxlint-disable-next-line no-await-in-loop
    const check = await verifyRecord(record);
    checks.push(check);
    checked(check);
  }
  return checks;
}

/** A record that cannot be used, also of another version, is removed. */
async function verifyRecord(record: FoundRecord): Promise<CacheCheck> {
  const isRight = await isRecordRight(record);
  if (!isRight) await removeRecord(record);
  return { digest: `sha256:${record.digits}`, chunks: 1, bad: isRight ? 0 : 1, what: 'record' };
}

/** True also if it is gone; false if something else is there, such as a pipe. @throws OverlaybdError IO */
async function isRecordRight({ path }: FoundRecord): Promise<boolean> {
  try {
    const bytes = await readWhole(path, RECORD_HEADER_SIZE + MAX_RECORD);
    return bytes === null || recordContent(bytes) !== null;
  } catch (error) {
    if (codeOf(error) === 'UNSUPPORTED' || codeOf(error) === 'LIMIT') return false;
    throw error;
  }
}

async function verifyBlob(lock: FolderLock, blob: FoundBlob): Promise<CacheCheck | null> {
  const data = blob.data === null ? null : await openIfThere(blob.data);
  if (!data) return null;
  try {
    if (blob.nonce !== null) return await verifyPartial(blob, blob.nonce, data);
    const isRight = (await hashFile(data)) === blob.digits;
    if (!isRight) await lock.hold(blob.digits, () => removeFiles([data.path]));
    const chunks = chunksOf(data.size);
    return { digest: `sha256:${blob.digits}`, chunks, bad: isRight ? 0 : chunks, what: 'blob' };
  } finally {
    closeCacheFile(data.fd);
  }
}

async function verifyPartial(
  blob: FoundBlob,
  nonce: string,
  data: CacheFile,
): Promise<CacheCheck | null> {
  const state = blob.state === null ? null : await openIfThere(blob.state);
  if (!state) return null;
  try {
    const header = await readHeader(state);
    if (header?.nonce !== nonce || header.size !== data.size) return null;
    if (state.size !== stateFileSize(header.size)) return null;
    return await verifyRecords(header, data, state);
  } finally {
    closeCacheFile(state.fd);
  }
}

async function verifyRecords(
  header: StateHeader,
  data: CacheFile,
  state: CacheFile,
): Promise<CacheCheck> {
  const records = await readFully(sourceOf(state), 0, state.size);
  const format = new RecordFormat(header);
  // No process reads bytes whose record is cleared.
  const isAlone = lockExclusive(data.fd, USERS_LOCK);
  let chunks = 0;
  let bad = 0;
  for (let chunk = 0; chunk < chunksOf(header.size); chunk++) {
    const record = format.decode(records, recordPosition(chunk));
    if (record < 0) continue;
    chunks++;
    const length = chunkLength(header.size, chunk);
    // oxlint-disable-next-line no-await-in-loop
    const crc = await checksumRange(data.fd, chunk * CHUNK_SIZE, length, format.seed(chunk));
    if (crc === record) continue;
    bad++;
    const cleared = { fd: state.fd, position: recordPosition(chunk), length: RECORD_SIZE };
    // oxlint-disable-next-line no-await-in-loop
    if (isAlone) await punchRange({ fd: data.fd, position: 0, length: 0 }, cleared);
  }
  if (isAlone) unlock(data.fd, USERS_LOCK);
  return { digest: header.digest, chunks, bad, what: 'blob' };
}

/** Bytes of the blob. */
async function sizeOf({ nonce, data, state }: FoundBlob): Promise<number | null> {
  const path = nonce === null ? data : state;
  const file = path === null ? null : await openIfThere(path);
  if (!file) return null;
  try {
    return nonce === null ? file.size : ((await readHeader(file))?.size ?? null);
  } finally {
    closeCacheFile(file.fd);
  }
}

async function isWhole(blob: FoundBlob): Promise<boolean> {
  if (blob.nonce === null) return true;
  if (blob.data === null || blob.state === null) return false;
  return (await sizeOf(blob)) !== null;
}

async function readHeader(state: CacheFile): Promise<StateHeader | null> {
  if (state.size < STATE_HEADER_SIZE) return null;
  return decodeHeader(await readFully(sourceOf(state), 0, STATE_HEADER_SIZE));
}

/** @returns bytes that this freed; null: it stays */
async function removeOld(path: string, age: number): Promise<number | null> {
  const status = await bounded(path, () => lstat(path)).catch(() => null);
  if (!status || Date.now() - status.mtimeMs < age) return null;
  await bounded(`remove ${path}`, () => rm(path, { force: true }));
  return status.size;
}
