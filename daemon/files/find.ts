// From a path to a file of an image. Symlinks are followed inside the image, absolute ones from its root, and no path
// leads out of it.

import { OverlaybdError, type ErrorFacts } from '../errors.js';
import { errorOf } from '../lib/fault.js';
import { shownPath } from '../tree/names.js';
import type { ImageFile } from './image-file.js';

/** The fact `failure` of the error about a path that is not in the image. */
export const NOT_IN_IMAGE = 'not in image';
/** Symlinks on the way. Linux's own limit. */
const MAX_LINKS = 40;

export interface FoundFile {
  readonly file: ImageFile;
  /** Where the file is, without symlinks on the way: clean, '' for the root. */
  readonly path: string;
}

interface Step {
  readonly file: ImageFile;
  readonly name: string;
}

/**
 * Finds a file.
 * @param path of bytes, from the root of the image
 * @param follow whether a symlink at the end of the path is followed; a path with a slash at its end always is
 * @throws OverlaybdError NOT_FOUND, LIMIT for a loop of symlinks
 */
export async function findFile(root: ImageFile, path: string, follow: boolean): Promise<FoundFile> {
  const open = path.split('/').toReversed();
  const mustBeFolder = open[0] === '' || open[0] === '.' || open[0] === '..';
  const way: Step[] = [{ file: root, name: '' }];
  let links = 0;
  while (open.length > 0) {
    const name = open.pop() as string;
    if (name === '') continue;
    const at = last(way);
    if ((await at.stat()).type !== 'dir') throw notFound(path, 'a folder of it is not a directory');
    if (name === '.') continue;
    if (name === '..') {
      if (way.length > 1) way.pop();
      continue;
    }
    const file = await at.child(name);
    // Further paths begin at the root.
    if (at !== root) at.leave?.();
    if (!file) throw notFound(path, 'the image has no such file', { failure: NOT_IN_IMAGE });
    const { type, target } = await file.stat();
    const isEnd = open.every((each) => each === '' || each === '.');
    if (type !== 'symlink' || (isEnd && !follow && !mustBeFolder)) {
      way.push({ file, name });
      continue;
    }
    if (++links > MAX_LINKS) throw loop(path);
    if (target.startsWith('/')) way.length = 1;
    open.push(...target.split('/').toReversed());
  }
  const file = last(way);
  if (mustBeFolder && (await file.stat()).type !== 'dir') throw notFound(path, 'not a directory');
  return {
    file,
    path: way
      .slice(1)
      .map(({ name }) => name)
      .join('/'),
  };
}

function last(way: readonly Step[]): ImageFile {
  return (way.at(-1) as Step).file;
}

function notFound(path: string, why: string, more: ErrorFacts = {}): OverlaybdError {
  const facts = { path: Buffer.from(path, 'latin1').toString('utf8'), ...more };
  return new OverlaybdError('NOT_FOUND', `${shownPath(path)}: ${why}`, { facts });
}

function loop(path: string): OverlaybdError {
  const facts = { path: shownPath(path), expected: `at most ${MAX_LINKS} symlinks` };
  return errorOf('LIMIT', facts, `more than ${MAX_LINKS} symlinks on the way`);
}
