// Makes the folder of the cache, and checks whose it is.

import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { OverlaybdError } from '../errors.js';
import { bounded } from './disk.js';
import { CacheFolder } from './folder.js';
import { makeFolders } from './small-files.js';

/** @throws OverlaybdError IO, PERMISSION if another user may write to it */
export async function prepareFolder(path: string): Promise<CacheFolder> {
  const folder = new CacheFolder(resolve(path));
  for (const each of folder.folders) {
    // oxlint-disable-next-line no-await-in-loop
    await makeFolders('/', each);
    // Before anything is made in it.
    // oxlint-disable-next-line no-await-in-loop
    await checkOwner(each, each === folder.path ? 'it' : each);
  }
  return folder;
}

/** A user who can write to the folder decides what is served. @param name of the folder, for the message */
async function checkOwner(path: string, name: string): Promise<void> {
  const { uid, mode } = await bounded(path, () => stat(path));
  const self = process.geteuid?.() ?? 0;
  if ((uid === self || uid === 0) && (mode & 0o022) === 0) return;
  const got = `user ${uid} and has mode ${(mode & 0o777).toString(8)}`;
  const expected = `user ${self}, and only that user may write to it`;
  const message = `${name} belongs to ${got}; it must belong to ${expected}`;
  throw new OverlaybdError('PERMISSION', message, { facts: { path, expected, got } });
}
