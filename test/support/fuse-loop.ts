// A served device as a file by nbdfuse, mounted by the kernel through a loop device: what is read is fetched then.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Test } from 'tap';
import { withMountedImage } from './loop-mount.js';
import { unmount } from './unmount.js';

/**
 * Mounts the default export of a daemon, calls `use` with the folder, and unmounts it.
 * @param folder an empty one
 * @returns false if this machine cannot mount it; the test is skipped then
 */
export async function withLoopMount(
  t: Test,
  socketPath: string,
  folder: string,
  use: (dir: string) => Promise<void>,
): Promise<boolean> {
  const [fuse, dir] = [join(folder, 'fuse'), join(folder, 'mnt')];
  for (const each of [fuse, dir]) mkdirSync(each);
  const file = join(fuse, 'nbd');
  const nbdfuse = spawn('nbdfuse', ['-r', file, '--unix', socketPath], { stdio: 'ignore' });
  const ended = once(nbdfuse, 'exit');
  try {
    const hasEnded = (): boolean => nbdfuse.exitCode !== null || nbdfuse.signalCode !== null;
    while (!hasEnded() && !isThere(file)) await pause(20);
    return await withMountedImage(t, file, dir, () => use(dir));
  } finally {
    await unmount(fuse, 'fuse');
    nbdfuse.kill();
    await ended;
  }
}

function isThere(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;
}
