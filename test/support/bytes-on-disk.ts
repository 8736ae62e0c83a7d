// How many bytes the files of a folder take, also while a process writes and removes them.
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Bytes on disk of each file, by its inode, because a file may be renamed, and its birth, because an inode is used again. */
export type FileSizes = ReadonlyMap<string, number>;

export function sizesIn(folder: string): FileSizes {
  const sizes = new Map<string, number>();
  for (const name of readdirSync(folder, { recursive: true }) as string[]) {
    const status = statSync(join(folder, name), { throwIfNoEntry: false });
    if (status?.isFile()) sizes.set(`${status.ino} ${status.birthtimeMs}`, status.blocks * 512);
  }
  return sizes;
}

/** @returns the sum for all files of a folder that nobody changes meanwhile */
export function bytesIn(folder: string): number {
  return [...sizesIn(folder).values()].reduce((sum, size) => sum + size, 0);
}

/**
 * What the files took at the least between two looks at the folder, if none of them shrank and grew again meanwhile. The sum of one look may be of
 * files that were never there at the same time: each is looked at after the other.
 */
export function leastBetween(before: FileSizes, after: FileSizes): number {
  let sum = 0;
  for (const [file, size] of before) sum += Math.min(size, after.get(file) ?? 0);
  return sum;
}
