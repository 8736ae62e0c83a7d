// The small files of tags and of sizes of blobs: those that were not used for long are collected, and the oldest of too many.

import { lstat, readdir, rm, rmdir } from 'node:fs/promises';
import type { Dirent } from 'node:fs';
import { codeOf } from '../errors.js';
import { bounded } from './disk.js';
import type { CacheFolder } from './folder.js';
import { TEMPORARY } from './small-files.js';

/** Files that stay, the ones that were used last: some 400 MiB, as each takes a block of the disk. */
const MAX_REFS = 100_000;
/** Names of repositories have at most 255 characters. */
const MAX_DEPTH = 130;

interface OldRefsOptions {
  /** Milliseconds since its last use after which a file goes. */
  readonly unusedMs: number;
  /** The same of a temporary file, which belongs to no process that is still writing it, and of an empty folder. */
  readonly temporaryMs: number;
  readonly most?: number;
}

interface Ref {
  readonly path: string;
  readonly size: number;
  readonly usedMs: number;
}

/** @returns bytes that this freed. @throws OverlaybdError IO */
export async function removeOldRefs(
  { refs }: Pick<CacheFolder, 'refs'>,
  { unusedMs, temporaryMs, most = MAX_REFS }: OldRefsOptions,
): Promise<number> {
  const now = Date.now();
  let freed = 0;
  const remove = async ({ path, size }: Ref): Promise<void> => {
    await bounded(`remove ${path}`, () => rm(path, { force: true }));
    freed += size;
  };
  const kept: Ref[] = [];
  const removeOldest = async (): Promise<void> => {
    kept.sort((a, b) => b.usedMs - a.usedMs);
    // oxlint-disable-next-line no-await-in-loop
    for (const ref of kept.splice(most)) await remove(ref);
  };
  const visit = async (folder: string, name: string): Promise<void> => {
    const path = `${folder}/${name}`;
    const status = await bounded(path, () => lstat(path)).catch(() => null);
    if (!status || !name.startsWith('@')) return;
    const ref = { path, size: status.size, usedMs: status.mtimeMs };
    const isTemporary = TEMPORARY.test(name);
    if (now - ref.usedMs >= (isTemporary ? temporaryMs : unusedMs)) return remove(ref);
    if (!isTemporary) kept.push(ref);
    // So that memory has a bound, too.
    if (kept.length > 2 * most) await removeOldest();
  };
  const walk = async (folder: string, depth: number): Promise<void> => {
    for (const entry of await entriesOf(folder)) {
      const isFolder = entry.isDirectory();
      // oxlint-disable-next-line no-await-in-loop
      if (!isFolder) await visit(folder, entry.name);
      // oxlint-disable-next-line no-await-in-loop
      else if (depth < MAX_DEPTH) await walk(`${folder}/${entry.name}`, depth + 1);
    }
    if (depth > 0) await removeEmpty(folder, now - temporaryMs);
  };
  await walk(refs, 0);
  await removeOldest();
  return freed;
}

async function entriesOf(folder: string): Promise<Dirent[]> {
  try {
    return await bounded(folder, () => readdir(folder, { withFileTypes: true }));
  } catch (error) {
    if (codeOf(error) === 'NOT_FOUND') return [];
    throw error;
  }
}

/** A folder that was emptied just now goes next time: a process may be about to write into it (writeWhole). */
async function removeEmpty(folder: string, before: number): Promise<void> {
  const status = await bounded(folder, () => lstat(folder)).catch(() => null);
  if (!status || status.mtimeMs >= before) return;
  // ENOTEMPTY: it is in use.
  await bounded(folder, () => rmdir(folder)).catch(() => undefined);
}
