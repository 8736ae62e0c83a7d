// An image file mounted by the kernel through a loop device.
import type { Test } from 'tap';
import { runTool } from './tools.js';
import { unmount } from './unmount.js';

/**
 * Mounts an EROFS image, calls `use`, and unmounts it.
 * @param folder an empty one
 * @returns false if this machine cannot mount it; the test is skipped then
 */
export async function withMountedImage(
  t: Test,
  image: string,
  folder: string,
  use: () => Promise<void>,
): Promise<boolean> {
  const mounted = await runTool('mount', ['-t', 'erofs', '-o', 'loop,ro', image, folder]);
  if (mounted.code !== 0) {
    const message = `NOT TESTED, mount: ${mounted.stderr.trim()}`;
    console.error(`${t.fullname}: ${message}`);
    t.pass('a loop mount', { skip: message });
    return false;
  }
  try {
    await use();
  } finally {
    await unmount(folder);
  }
  return true;
}
