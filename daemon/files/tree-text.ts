// The output of `tree`: folders with their contents, indented.

import { counted } from '../lib/counted.js';
import type { FoundFile } from './find.js';
import { FolderWay } from './folder-way.js';
import type { FileStat, ImageFile } from './image-file.js';
import { filesOf, type EachFile, type ListedFile } from './listing.js';
import type { ShowName } from './texts.js';
import { WaitingFiles } from './waiting-files.js';

export interface TreeOptions {
  /** Names that begin with a dot, too. */
  readonly all: boolean;
  /** Folders below the first one that are shown; Infinity: all. */
  readonly depth: number;
}

/** A file of the tree, and where it is drawn. */
export interface DrawnFile extends ListedFile {
  /** For each folder from the first one to this file's: whether it is the last in its folder. Siblings share it. */
  readonly lasts: readonly boolean[];
  /** Whether this file is the last in its folder. */
  readonly isLast: boolean;
  readonly stat: FileStat;
}

/** The files below a folder, each folder before what is in it. */
export async function* filesBelow(
  { file, path }: FoundFile,
  { all, depth }: TreeOptions,
  each: EachFile,
  waiting = new WaitingFiles(),
): AsyncGenerator<DrawnFile> {
  const way = new FolderWay();
  const open: DrawnFile[] = [];
  /** In reverse: the next one is popped. */
  const push = async (folder: ImageFile, at: string, lasts: readonly boolean[]): Promise<void> => {
    way.enter(at, folder.inode, lasts.length);
    const files = await filesOf(at, folder, all, each, waiting);
    let isLast = true;
    for (const below of files.toReversed()) {
      open.push({ ...below, lasts, isLast, stat: await below.file.stat() });
      isLast = false;
    }
  };
  await each.tried(() => push(file, path, []));
  for (let next = open.pop(); next; next = open.pop()) {
    const { file: folder, path: at, lasts, isLast, stat } = next;
    waiting.remove(next.name);
    yield next;
    if (stat.type !== 'dir' || lasts.length + 1 >= depth) continue;
    await each.tried(() => push(folder, at, [...lasts, isLast]));
  }
}

/** Byte strings; the last one is the sum. */
export async function* treeLines(
  name: string,
  found: FoundFile,
  options: TreeOptions,
  show: ShowName,
  eachFile: EachFile,
): AsyncGenerator<string> {
  yield show(name);
  let folders = 0;
  let files = 0;
  for await (const { name: each, lasts, isLast, stat } of filesBelow(found, options, eachFile)) {
    if (stat.type === 'dir') folders++;
    else files++;
    const target = stat.type === 'symlink' ? ` -> ${show(stat.target)}` : '';
    yield `${branch(lasts, isLast)}${show(each)}${target}`;
  }
  yield '';
  yield `${folders} ${folders === 1 ? 'directory' : 'directories'}, ${counted(files, 'file')}`;
}

function branch(lasts: readonly boolean[], isLast: boolean): string {
  const above = lasts.map((each) => (each ? '    ' : '│   '));
  const text = above.join('') + (isLast ? '└── ' : '├── ');
  return Buffer.from(text).toString('latin1');
}
