// What `tree` prints: folders with what is in them, indented.

import { counted } from '../lib/counted.js';
import type { FoundFile } from './find.js';
import type { FileStat, ImageFile } from './image-file.js';
import { filesOf, type ListedFile } from './listing.js';
import type { ShowName } from './texts.js';

export interface TreeOptions {
  /** Names that begin with a dot, too. */
  readonly all: boolean;
  /** Folders below the first one that are shown; Infinity: all. */
  readonly depth: number;
}

/** A file of the tree, and where it is drawn. */
export interface DrawnFile extends ListedFile {
  /** For each folder from the first one to this file: whether it is the last in its folder. */
  readonly lasts: readonly boolean[];
  readonly stat: FileStat;
}

/** The files below a folder, each folder before what is in it. */
export async function* filesBelow(
  { file, path }: FoundFile,
  { all, depth }: TreeOptions,
): AsyncGenerator<DrawnFile> {
  const open = await drawn(path, file, [], all);
  for (let each = open.pop(); each; each = open.pop()) {
    yield each;
    if (each.stat.type !== 'dir' || each.lasts.length >= depth) continue;
    open.push(...(await drawn(each.path, each.file, each.lasts, all)));
  }
}

/** In reverse: the next one is popped. */
async function drawn(
  path: string,
  folder: ImageFile,
  lasts: readonly boolean[],
  all: boolean,
): Promise<DrawnFile[]> {
  const files = await filesOf(path, folder, all);
  const list: DrawnFile[] = [];
  for (const [i, each] of files.entries()) {
    const isLast = i === files.length - 1;
    list.push({ ...each, lasts: [...lasts, isLast], stat: await each.file.stat() });
  }
  return list.toReversed();
}

/** Byte strings; the last one is the sum. */
export async function* treeLines(
  name: string,
  found: FoundFile,
  options: TreeOptions,
  show: ShowName,
): AsyncGenerator<string> {
  yield show(name);
  let folders = 0;
  let files = 0;
  for await (const { name: each, lasts, stat } of filesBelow(found, options)) {
    if (stat.type === 'dir') folders++;
    else files++;
    const target = stat.type === 'symlink' ? ` -> ${show(stat.target)}` : '';
    yield `${branch(lasts)}${show(each)}${target}`;
  }
  yield '';
  yield `${folders} ${folders === 1 ? 'directory' : 'directories'}, ${counted(files, 'file')}`;
}

function branch(lasts: readonly boolean[]): string {
  const above = lasts.slice(0, -1).map((isLast) => (isLast ? '    ' : '│   '));
  const text = above.join('') + (lasts.at(-1) === true ? '└── ' : '├── ');
  return Buffer.from(text).toString('latin1');
}
