// What `ls` prints: the files of folders, one list a folder.

import { findFile } from './find.js';
import { FolderWay } from './folder-way.js';
import type { FileStat, ImageFile } from './image-file.js';
import { WaitingFiles } from './waiting-files.js';
import { modeText, timeText, type ShowName } from './texts.js';
import { withoutEndSlashes } from '../lib/without-end-slashes.js';

export interface ListOptions {
  /** Names that begin with a dot, too. */
  readonly all: boolean;
  /** The folders below, too. */
  readonly recursive: boolean;
  /** A folder itself, and not what is in it. */
  readonly itself: boolean;
  /** Attributes; then a symlink that a path names is listed, and not followed. */
  readonly long: boolean;
}

export interface ListedFile {
  /** As it is listed: a name, or a path as it was given. */
  readonly name: string;
  /** Clean, from the root. */
  readonly path: string;
  readonly file: ImageFile;
}

/** One list: of a folder, or of the files that were named. */
export interface Listing {
  /** As it was given, with the names below; null for files that were named. */
  readonly folder: string | null;
  readonly files: readonly ListedFile[];
}

/** Looks at files one by one: of one that cannot be read it tells why, and the others go on. */
export interface EachFile {
  /** @returns null if `work` has thrown an OverlaybdError */
  tried<T>(work: () => Promise<T>): Promise<T | null>;
}

/**
 * The lists of paths: first the files among them, then each folder.
 * @throws OverlaybdError NOT_FOUND for the first path that is not there
 */
export async function* listings(
  root: ImageFile,
  paths: readonly string[],
  { all, recursive, itself, long }: ListOptions,
  each: EachFile,
  waiting = new WaitingFiles(),
): AsyncGenerator<Listing> {
  const named: ListedFile[] = [];
  const folders: ListedFile[] = [];
  for (const path of paths) {
    const found = { name: path, ...(await findFile(root, path, !long && !itself)) };
    const isFolder = (await found.file.stat()).type === 'dir' && !itself;
    (isFolder ? folders : named).push(found);
  }
  if (named.length > 0) yield { folder: null, files: named };
  const way = new FolderWay();
  const open = folders.map((folder) => ({ ...folder, depth: 0 })).toReversed();
  for (let at = open.pop(); at; at = open.pop()) {
    const { name: folder, path, file, depth } = at;
    const files = await each.tried(() => {
      way.enter(path, file.inode, depth);
      return filesOf(path, file, all, each, waiting);
    });
    // The names that the user gave do not count.
    if (depth > 0) waiting.remove(path.slice(path.lastIndexOf('/') + 1));
    if (files === null) continue;
    yield { folder, files };
    for (const below of files.toReversed()) {
      if (!recursive || (await below.file.stat()).type !== 'dir') {
        waiting.remove(below.name);
        continue;
      }
      const name = `${withoutEndSlashes(folder)}/${below.name}`;
      open.push({ ...below, name, depth: depth + 1 });
    }
  }
}

/**
 * The files in a folder, by the bytes of their names.
 * @param all names that begin with a dot, too
 * @param waiting gets the files; the caller removes them
 */
export async function filesOf(
  path: string,
  folder: ImageFile,
  all: boolean,
  each: EachFile,
  waiting: WaitingFiles,
): Promise<ListedFile[]> {
  const files: ListedFile[] = [];
  try {
    for (const name of await folder.names()) {
      if (!all && name.startsWith('.')) continue;
      const file = await each.tried(() => folder.child(name));
      if (!file) continue;
      waiting.add(path, name);
      files.push({ name, path: path === '' ? name : `${path}/${name}`, file });
    }
    return files;
  } catch (error) {
    for (const { name } of files) waiting.remove(name);
    throw error;
  } finally {
    folder.leave?.();
  }
}

export interface ListForm {
  readonly long: boolean;
  /** Whether the name of the folder is above the list. */
  readonly withHeading: boolean;
  readonly show: ShowName;
}

/** The lines of one list: byte strings. */
export async function* listingLines(
  { folder, files }: Listing,
  { long, withHeading, show }: ListForm,
): AsyncGenerator<string> {
  if (withHeading && folder !== null) yield `${show(folder)}:`;
  if (!long) {
    for (const { name } of files) yield show(name);
    return;
  }
  const stats: FileStat[] = [];
  for (const { file } of files) stats.push(await file.stat());
  const cells = stats.map((stat) => [
    `${stat.nlink}`,
    `${stat.uid}`,
    `${stat.gid}`,
    stat.rdev ? `${stat.rdev.major}, ${stat.rdev.minor}` : `${stat.size}`,
  ]);
  const widths = [0, 1, 2, 3].map((column) =>
    cells.reduce((most, row) => Math.max(most, (row[column] as string).length), 0),
  );
  for (const [i, { name }] of files.entries()) {
    const stat = stats[i] as FileStat;
    const row = (cells[i] as string[]).map((cell, c) => cell.padStart(widths[c] as number));
    const target = stat.type === 'symlink' ? ` -> ${show(stat.target)}` : '';
    yield `${modeText(stat)} ${row.join(' ')} ${timeText(stat.mtime)} ${show(name)}${target}`;
  }
}
