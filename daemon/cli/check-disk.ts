// Whether the file system of a disk can be shown by a program of its own: before that and nbdfuse are started, so that the
// message is about the disk, and not about a program.

import type { OpenedDisk } from '../files/opened-disk.js';
import { errorOf } from '../lib/fault.js';
import { detectFilesystem } from '../mount/filesystem.js';
import { filesystemProgram } from '../mount/fuse-programs.js';
import type { Programs } from '../mount/programs.js';

/**
 * @param partition the number of the one to look at; null: the whole disk
 * @throws OverlaybdError NOT_FOUND if there is no such partition, UNSUPPORTED, PROGRAM_MISSING with what is to be installed
 */
export async function checkDisk(
  disk: OpenedDisk,
  partition: number | null,
  programs: Pick<Programs, 'find'>,
): Promise<void> {
  const { name, read } = partition === null ? disk : await disk.partition(partition);
  const { type } = await detectFilesystem(name, read).catch(async (error: unknown) => {
    const found = partition === null ? await disk.partitions() : null;
    if (found === null) throw error;
    const why = `it has ${found}: look at one of them with --partition N`;
    throw errorOf('UNSUPPORTED', name, why, error);
  });
  await filesystemProgram(name, type, programs, process.geteuid?.() === 0);
}
