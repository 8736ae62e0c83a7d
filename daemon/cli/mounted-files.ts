// The files of an image that is a disk, for the commands that look inside: the programs of `mount --fuse` show them in a
// folder of our own until the command ends.

import { rmdir } from 'node:fs/promises';
import { errorOf } from '../lib/fault.js';
import { folderRoot } from '../files/folder-files.js';
import type { ImageFile } from '../files/image-file.js';
import { MAIN } from '../lib/program.js';
import { ownFolder, runtimeFolder } from '../mount/fuse-disk.js';
import { readDevice } from '../mount/mount-device.js';
import { mountFuse } from '../mount/mount-fuse.js';
import { fuseOptions } from '../mount/mount-options.js';
import { currentMounts } from '../mount/mount-point.js';
import { programs } from '../mount/programs.js';
import { umountOwn } from '../mount/umount.js';

/**
 * Mounts the file system of a disk, lets `use` look at its files, and unmounts it.
 * @param words of `serve`: the image with its options
 * @throws OverlaybdError PROGRAM_MISSING with what is to be installed, MOUNT, UNSUPPORTED
 */
export async function withMountedFiles<T>(
  name: string,
  words: readonly string[],
  use: (root: ImageFile) => Promise<T>,
): Promise<T> {
  const uid = process.geteuid?.() ?? 0;
  const runtime = runtimeFolder();
  const dir = await ownFolder(runtime, 'overlaybd-nbd-look-');
  const abort = new AbortController();
  const ended = interruption(abort);
  const tools = { programs, mounts: currentMounts, signal: abort.signal };
  try {
    const server = ['--command', process.execPath, MAIN, 'serve', '--stdio', ...words];
    const options = fuseOptions({ dev: false, suid: false }, uid === 0);
    const isRoot = uid === 0;
    const mount = { name, server, dir, options };
    const file = await mountFuse(mount, { ...tools, read: readDevice, isRoot, runtime });
    try {
      return await Promise.race([folderRoot(dir).then(use), ended.promise]);
    } finally {
      // Files of an interrupted command are still open.
      await umountOwn(dir, file, abort.signal.aborted, { ...tools, ...NO_DEVICES, uid });
    }
  } finally {
    ended.stop();
    // If it cannot be unmounted, the error that says so names it.
    await rmdir(dir).catch(() => undefined);
  }
}

/** The mount is none of a device. */
const NO_DEVICES = {
  isOurs: () => Promise.resolve(false),
  detach: () => Promise.resolve(),
  isGone: () => Promise.resolve(true),
};

/** Rejects at the first SIGINT or SIGTERM. A second one ends the process at once. */
function interruption(abort: AbortController): { promise: Promise<never>; stop: () => void } {
  const onSignal = (): void => abort.abort();
  const promise = new Promise<never>((_, reject) => {
    abort.signal.addEventListener('abort', () => {
      reject(errorOf('IO', {}, 'interrupted'));
    });
  });
  // While the image is being mounted, no caller waits for it.
  promise.catch(() => undefined);
  process.once('SIGINT', onSignal);
  process.once('SIGTERM', onSignal);
  const stop = (): void => {
    process.removeListener('SIGINT', onSignal);
    process.removeListener('SIGTERM', onSignal);
  };
  return { promise, stop };
}
