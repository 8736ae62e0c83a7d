// Records of layers: files of the folder with what was found when a layer was read as a whole. This file knows their names,
// lists them, and removes them. A record that is gone costs another reading.

import { lstat } from 'node:fs/promises';
import { OverlaybdError } from '../errors.js';
import { bounded } from './disk.js';
import { removeName } from './foreign.js';
import type { CacheFolder } from './folder.js';
import { isUsed, namesIn, scanBlobs, STAT_BLOCK, type FoundBlob } from './scan.js';

/** The 64 digits are the digest of a blob, or the identity of a local file. */
export type RecordKind = 'layer' | 'file';

export interface RecordKey {
  readonly kind: RecordKind;
  /** Hexadecimal. */
  readonly digits: string;
}

export interface FoundRecord extends RecordKey {
  readonly path: string;
  /** Of the file, on disk. */
  readonly bytes: number;
  /** Whether it is a decoded copy of the layer. */
  readonly isCopy: boolean;
  /** Whether it is being written, or was when its process ended. */
  readonly isTemporary: boolean;
  /** Milliseconds since 1970. */
  readonly lastUsed: number;
}

const NAME =
  /^(?<digits>[0-9a-f]{64})\.(?<kind>layer|file)(?<copy>\.plain)?(?<temporary>\.[0-9a-f]{16}\.tmp)?$/;
/** What was written to a moment ago is still written: records have no lock, and a copy may have none yet. */
const FRESH_MS = 60_000;

export function recordPath(folder: CacheFolder, { kind, digits }: RecordKey): string {
  return `${folder.records}/${digits}.${kind}`;
}

/** Where the decoded copy of a layer is. */
export function copyPath(folder: CacheFolder, key: RecordKey): string {
  return `${recordPath(folder, key)}.plain`;
}

/** Records, and decoded copies, also those that are not complete. Skips other files. @throws OverlaybdError IO */
export async function scanRecords(folder: CacheFolder): Promise<FoundRecord[]> {
  const found: FoundRecord[] = [];
  for (const name of await namesIn(folder.records)) {
    const { digits, kind, copy, temporary } = NAME.exec(name)?.groups ?? {};
    if (digits === undefined) continue;
    const path = `${folder.records}/${name}`;
    // oxlint-disable-next-line no-await-in-loop
    const status = await bounded(path, () => lstat(path)).catch(orNull);
    if (!status) continue;
    const { blocks, mtimeMs } = status;
    const isCopy = copy !== undefined;
    const isTemporary = temporary !== undefined;
    if (isTemporary && !status.isFile()) continue;
    const bytes = blocks * STAT_BLOCK;
    const key = { digits, kind: kind as RecordKind };
    found.push({ ...key, path, bytes, isCopy, isTemporary, lastUsed: Math.floor(mtimeMs) });
  }
  return found;
}

/**
 * Whether a process has the blob of a record open: then the image must open again without its registry. Or whether a process
 * still writes it.
 */
export async function isRecordUsed(
  { kind, digits, path, isTemporary, lastUsed }: FoundRecord,
  blobs: readonly FoundBlob[],
): Promise<boolean> {
  if (isTemporary) return Date.now() - lastUsed < FRESH_MS || isUsed({ data: path });
  if (kind !== 'layer') return false;
  for (const blob of blobs) {
    // oxlint-disable-next-line no-await-in-loop
    if (blob.digits === digits && (await isUsed(blob))) return true;
  }
  return false;
}

/** @throws OverlaybdError IO */
export function removeRecord({ path }: FoundRecord): Promise<void> {
  return removeName(path);
}

/**
 * Removes records, or copies, that were used least recently, except for those of blobs that are open.
 * @param most bytes of all others that may stay
 * @param path of a record, or copy, that a new one is about to replace: it does not count, and stays until then
 * @param found what {@link scanRecords} has just found
 * @returns whether no more are left
 */
export async function makeRoomFor(
  folder: CacheFolder,
  most: number,
  isCopy: boolean,
  path: string,
  found: readonly FoundRecord[] | null = null,
): Promise<boolean> {
  const records = (found ?? (await scanRecords(folder))).filter(
    (each) => each.isCopy === isCopy && each.path !== path,
  );
  let sum = records.reduce((all, { bytes }) => all + bytes, 0);
  if (sum <= most) return true;
  const blobs = await scanBlobs(folder);
  for (const record of records.toSorted((a, b) => a.lastUsed - b.lastUsed)) {
    // oxlint-disable-next-line no-await-in-loop
    if (await isRecordUsed(record, blobs)) continue;
    // oxlint-disable-next-line no-await-in-loop
    await removeRecord(record);
    sum -= record.bytes;
    if (sum <= most) return true;
  }
  return false;
}

function orNull(error: unknown): null {
  if (error instanceof OverlaybdError && error.code === 'NOT_FOUND') return null;
  throw error;
}
