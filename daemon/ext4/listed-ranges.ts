// From a list of paths to the bytes of the device that hold their files, in the order of the list. A path that ends in
// `/` or `/*` stands for all files below that directory.

import { OverlaybdError } from '../errors.js';
import { mapEach } from '../lib/gate.js';
import { isDamage, type DeviceRange, type Ext4 } from './file-system.js';
import type { Inode } from './inode.js';
import { MAX_LISTED_FILES, MAX_RANGES, MAX_WALKED_DIRECTORIES, PATHS_AT_A_TIME } from './limits.js';
import { findPath, follow, type Place } from './path-lookup.js';

export interface ListedRanges {
  /** Each file once. */
  readonly ranges: readonly DeviceRange[];
  /** Paths that lead to nothing. */
  readonly missing: number;
  /** Paths that could not be followed to their end, because the file system is damaged there. */
  readonly damaged: number;
  /** The first damage, found on the way of one of them. */
  readonly damage: OverlaybdError | null;
}

/**
 * @param paths one character a byte
 * @param maxBytes of all ranges; what the list names after that is left out
 * @throws OverlaybdError LIMIT, and what the device throws
 */
export async function rangesOfPaths(
  fs: Ext4,
  paths: readonly string[],
  maxBytes: number,
): Promise<ListedRanges> {
  const list = new List(fs);
  let missing = 0;
  let damaged = 0;
  let damage: OverlaybdError | null = null;
  const listed = await mapEach(paths, PATHS_AT_A_TIME, async (path) => {
    const ranges: DeviceRange[] = [];
    try {
      if (!(await list.add(path, ranges))) missing++;
    } catch (error) {
      if (!isDamage(error)) throw error;
      damaged++;
      damage ??= error;
    }
    return ranges;
  });
  return { ranges: cut(listed.flat(), maxBytes), missing, damaged, damage };
}

class List {
  readonly #fs: Ext4;
  readonly #listed = new Set<number>();
  readonly #walked = new Set<number>();
  #ranges = 0;

  constructor(fs: Ext4) {
    this.#fs = fs;
  }

  /** @returns whether the path leads to something */
  async add(path: string, into: DeviceRange[]): Promise<boolean> {
    const all = path.endsWith('/*') ? path.slice(0, -1) : path;
    const place = await findPath(this.#fs, all);
    if (!place) return false;
    if (all.endsWith('/')) await this.#walk(place, into);
    else await this.#file(place.inode, into);
    return true;
  }

  async #walk(top: Place, into: DeviceRange[]): Promise<void> {
    const waiting = [top];
    for (let place = waiting.pop(); place; place = waiting.pop()) {
      const { number } = place.inode;
      if (this.#walked.has(number)) continue;
      if (this.#walked.size === MAX_WALKED_DIRECTORIES) throw tooManyDirectories();
      this.#walked.add(number);
      for (const [name, child] of await this.#fs.names(place.inode)) {
        const inode = await this.#fs.inode(child);
        if (inode.kind === 'directory') {
          if (this.#walked.has(child)) continue;
          if (waiting.length === MAX_WALKED_DIRECTORIES) throw tooManyDirectories();
          waiting.push({ inode, above: place });
        } else if (inode.kind === 'symlink') await this.#linked(place, name, into);
        else await this.#file(inode, into);
      }
    }
  }

  /** A symlink in a directory that is walked: its target is listed if that is a file. */
  async #linked(directory: Place, name: string, into: DeviceRange[]): Promise<void> {
    const target = await follow(this.#fs, directory, name);
    if (target?.inode.kind === 'regular') await this.#file(target.inode, into);
  }

  async #file(inode: Inode, into: DeviceRange[]): Promise<void> {
    if (inode.kind !== 'regular' && inode.kind !== 'directory') return;
    if (this.#listed.has(inode.number)) return;
    if (this.#listed.size === MAX_LISTED_FILES) throw over(`${MAX_LISTED_FILES} files`);
    this.#listed.add(inode.number);
    for await (const range of this.#fs.ranges(inode)) {
      if (this.#ranges++ === MAX_RANGES) throw over(`${MAX_RANGES} ranges of the device`);
      into.push(range);
    }
  }
}

function cut(ranges: readonly DeviceRange[], maxBytes: number): DeviceRange[] {
  const kept: DeviceRange[] = [];
  let left = maxBytes;
  for (const { offset, length } of ranges) {
    if (left === 0) break;
    const n = Math.min(length, left);
    kept.push({ offset, length: n });
    left -= n;
  }
  return kept;
}

function over(what: string): OverlaybdError {
  return new OverlaybdError('LIMIT', `a list of more than ${what}`);
}

function tooManyDirectories(): OverlaybdError {
  return over(`${MAX_WALKED_DIRECTORIES} directories`);
}
