// Which name each copy gets: as cp(1) does it, by whether the destination is a folder.

import { lstat } from 'node:fs/promises';
import { messageOf } from '../../errors.js';
import { errorOf } from '../../lib/fault.js';
import { shownPath } from '../../tree/names.js';
import type { ImageFile } from '../image-file.js';
import { bytesOf } from '../texts.js';
import { TargetFolder } from './target-folder.js';
import { withoutEndSlashes } from '../../lib/without-end-slashes.js';

/** The folder that copies go to. */
export interface Destination {
  readonly folder: TargetFolder;
  /** The name of the only copy; null: each keeps the name of its path. */
  readonly name: string | null;
  /** Whether the name ends with a slash, and no file has it: only a folder can get it. */
  readonly onlyFolder: boolean;
}

/**
 * Opens the destination. The caller closes its folder.
 * @param isSeveral whether more than one path is copied
 * @throws OverlaybdError BAD_ARGUMENT, IO, PERMISSION
 */
export async function openDestination(dest: string, isSeveral: boolean): Promise<Destination> {
  const path = dest.slice(0, 1) + withoutEndSlashes(dest.slice(1));
  const there = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw errorOf('IO', { path }, messageOf(error), error);
  });
  if (there?.isSymbolicLink()) {
    throw errorOf('BAD_ARGUMENT', { path }, 'a symlink: name the folder that it leads to');
  }
  if (there?.isDirectory()) {
    return { folder: await TargetFolder.open(bytesOf(path)), name: null, onlyFolder: false };
  }
  if (isSeveral || (there && dest.endsWith('/'))) {
    const why = there ? 'is not a folder' : 'there is no such folder, and several paths need one';
    throw errorOf('IO', { path }, why);
  }
  const slash = path.lastIndexOf('/');
  const parent = slash < 0 ? '.' : path.slice(0, slash + 1);
  const name = path.slice(slash + 1);
  const folder = await TargetFolder.open(bytesOf(parent));
  return { folder, name: bytesOf(name), onlyFolder: dest.endsWith('/') };
}

/** @throws OverlaybdError IO if the file cannot get a name that only a folder can get */
export async function checkFolder(path: string, file: ImageFile): Promise<void> {
  if ((await file.stat()).type === 'dir') return;
  const why = 'not a directory; the destination ends with a slash, and there is no such folder';
  throw errorOf('IO', { path: shownPath(path) }, why);
}

/** The name that the copy of a path has in a folder; null: what is in it is copied, as of `/` and `etc/.` */
export function nameOfPath(path: string): string | null {
  const trimmed = withoutEndSlashes(path);
  const name = trimmed.slice(trimmed.lastIndexOf('/') + 1);
  return name === '' || name === '.' || name === '..' ? null : name;
}
