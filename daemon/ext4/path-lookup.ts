// From a path to an inode, with symlinks followed inside the file system: `/` of a link is the root of the image, and
// `..` of the root is the root.

import type { Ext4 } from './file-system.js';
import type { Inode } from './inode.js';
import { MAX_LINKS_FOLLOWED, MAX_PATH_BYTES, MAX_PATH_STEPS } from './limits.js';

/** An inode, and the directories on the way to it. */
export interface Place {
  readonly inode: Inode;
  /** null: it is the root. */
  readonly above: Place | null;
}

/**
 * Finds what a path leads to; the last name may be a symlink, too.
 * @param path one character a byte
 * @returns null if it leads to nothing, as a path with too many symlinks or names does
 * @throws OverlaybdError as {@link Ext4} does
 */
export async function findPath(fs: Ext4, path: string): Promise<Place | null> {
  if (path.length > MAX_PATH_BYTES) return null;
  return follow(fs, { inode: await fs.root(), above: null }, path);
}

/** The same for a path that begins in a directory. */
export async function follow(fs: Ext4, from: Place, path: string): Promise<Place | null> {
  let here = from;
  const names = namesOf(path);
  let links = 0;
  for (let steps = 0; ; steps++) {
    const name = names.pop();
    if (name === undefined) return here;
    if (steps === MAX_PATH_STEPS || here.inode.kind !== 'directory') return null;
    if (name === '.') continue;
    if (name === '..') {
      here = here.above ?? here;
      continue;
    }
    const number = (await fs.names(here.inode)).get(name);
    if (number === undefined) return null;
    const inode = await fs.inode(number);
    if (inode.kind !== 'symlink') {
      here = { inode, above: here };
      continue;
    }
    if (links++ === MAX_LINKS_FOLLOWED) return null;
    const target = await fs.target(inode);
    if (target.startsWith('/')) here = rootOf(here);
    names.push(...namesOf(target));
  }
}

function rootOf(place: Place): Place {
  let root = place;
  while (root.above) root = root.above;
  return root;
}

/** The last one first. A slash at the end asks for a directory, as `.` does. */
function namesOf(path: string): string[] {
  const names = path.split('/').filter((name) => name !== '');
  if (path.endsWith('/')) names.push('.');
  return names.toReversed();
}
