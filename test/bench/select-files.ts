// Picks real files of this machine until their size is reached; it only looks, and copies nothing.
import { accessSync, constants, lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** The folders of programs, libraries and documents on any Linux machine, with their share of the image. */
const FOLDERS = [
  { path: '/usr/bin', share: 0.2 },
  { path: '/usr/lib', share: 0.5 },
  { path: '/usr/share', share: 0.3 },
];

const BLOCK = 4096;

export interface Selection {
  /** Absolute paths of regular files. */
  files: string[];
  /** Bytes, every file rounded up to blocks, with its folders. */
  size: number;
}

/**
 * Files in the order of their names, folder after folder, and of the last folder what still fits.
 * @param budget bytes
 * @throws Error when the machine has not enough
 */
export function selectFiles(budget: number): Selection {
  const selection: Selection = { files: [], size: 0 };
  let allowed = 0;
  for (const { path, share } of FOLDERS) {
    // The unused part of a folder's share goes to the next one.
    allowed += budget * share;
    collect(path, allowed, selection);
  }
  if (selection.size < budget * 0.9) {
    throw new Error(
      `${FOLDERS.map(({ path }) => path).join(', ')}: only ${selection.size} bytes of files, ${budget} are wanted; use a smaller --size`,
    );
  }
  return selection;
}

function collect(folder: string, allowed: number, selection: Selection): void {
  let names: string[];
  try {
    names = readdirSync(folder).toSorted();
  } catch {
    return; // unreadable, or deleted meanwhile
  }
  selection.size += BLOCK;
  for (const name of names) {
    if (selection.size >= allowed) return;
    const path = join(folder, name);
    const info = lstatSync(path, { throwIfNoEntry: false });
    if (info?.isDirectory()) collect(path, allowed, selection);
    if (!info?.isFile() || !isReadable(path)) continue;
    const size = Math.ceil(info.size / BLOCK) * BLOCK;
    if (selection.size + size > allowed) continue;
    selection.files.push(path);
    selection.size += size;
  }
}

function isReadable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}
