// `umount`: ends one of our mounts, then detaches its device or ends its FUSE programs. Finds those in
// the mount table. Refuses mounts that are not ours.

import { dirname } from 'node:path';
import { OverlaybdError, messageOf } from '../errors.js';
import { explainUmount } from './explain.js';
import { checkFolder, diskFolderOf, stopDisk } from './fuse-disk.js';
import { fusermountProgram } from './fuse-programs.js';
import { mountedAt } from './mount-point.js';
import { nbdDeviceOf, type MountEntry } from './mountinfo.js';
import type { Programs } from './programs.js';

export interface UmountTools {
  readonly programs: Programs;
  /** What is mounted now. */
  readonly mounts: () => Promise<readonly MountEntry[]>;
  /** Whether overlaybd-nbd has attached the device. */
  readonly isOurs: (device: string) => Promise<boolean>;
  /** `onClose`: let the kernel detach the device when its last user closes it. */
  readonly detach: (device: string, onClose: boolean) => Promise<void>;
  /** Whether the kernel has detached it. It does so after the last mount of a device of `mount`. */
  readonly isGone: (device: string) => Promise<boolean>;
  /** Our effective user id. */
  readonly uid: number;
}

/**
 * Unmounts `dir`, then detaches the device or ends the FUSE programs.
 * @param lazy hide the mount at once, and do the rest when the last program has closed its files there
 * @throws OverlaybdError NOT_FOUND if nothing is mounted, BAD_ARGUMENT if the mount is not ours, IO
 */
export async function umount(dir: string, lazy: boolean, tools: UmountTools): Promise<void> {
  const mounted = await mountedAt(dir, await tools.mounts());
  const folder = diskFolderOf(mounted);
  if (folder !== null) return umountFuse(mounted, folder, lazy, tools);
  const device = nbdDeviceOf(mounted);
  if (device === null || !(await tools.isOurs(device))) throw notOurs(mounted);
  return umountDevice(mounted, device, lazy, tools);
}

/**
 * Ends a FUSE mount that this process has made. If another program has unmounted it, ends nbdfuse, which is still there.
 * @param file the source of the mount
 * @throws OverlaybdError MOUNT, also if another program has unmounted it: what was read there may not be of the image
 */
export async function umountOwn(
  dir: string,
  file: string,
  lazy: boolean,
  tools: UmountTools,
): Promise<void> {
  if ((await tools.mounts()).some(({ source }) => source === file)) return umount(dir, lazy, tools);
  // Lazily: if files are still open there, nbdfuse ends when the last one is closed.
  await stopDisk(dirname(dirname(file)), tools, true);
  const message = `${dir}: another program has unmounted it while its files were read`;
  throw new OverlaybdError('MOUNT', message);
}

async function umountDevice(
  { mountPoint }: MountEntry,
  device: string,
  lazy: boolean,
  tools: UmountTools,
): Promise<void> {
  const { programs, detach } = tools;
  const program = await programs.find('umount');
  if (program === null)
    throw new OverlaybdError('PROGRAM_MISSING', 'umount: not found; install util-linux');
  // Before umount(8): after it, the device may already be detached and the daemon gone.
  if (lazy) await detach(device, true);
  const result = await programs.run(program, [...(lazy ? ['-l'] : []), mountPoint]);
  if (result.code !== 0) {
    throw new OverlaybdError('MOUNT', `umount: ${explainUmount(mountPoint, result)}`);
  }
  if (lazy || (await tools.isGone(device))) return;
  const other = (await tools.mounts()).find((entry) => nbdDeviceOf(entry) === device);
  // Detaching would take the device from that mount.
  if (other) {
    const facts = `${device} stays attached, because it is mounted at ${other.mountPoint} too`;
    throw new OverlaybdError(
      'MOUNT',
      `${mountPoint}: unmounted, but ${facts}; unmount that as well`,
    );
  }
  try {
    await detach(device, false);
  } catch (error) {
    if (await tools.isGone(device)) return;
    const remedy = `unmounted, but ${device} is still attached: ${messageOf(error)}`;
    throw new OverlaybdError('MOUNT', `${mountPoint}: ${remedy}`, { cause: error });
  }
}

async function umountFuse(
  { mountPoint }: MountEntry,
  folder: string,
  lazy: boolean,
  tools: UmountTools,
): Promise<void> {
  const { programs } = tools;
  await checkFolder(folder, tools.uid);
  const program = await fusermountProgram(programs);
  const result = await programs.run(program, ['-u', ...(lazy ? ['-z'] : []), mountPoint]);
  if (result.code !== 0) {
    throw new OverlaybdError('MOUNT', `umount: ${explainUmount(mountPoint, result)}`);
  }
  const mounts = await tools.mounts();
  // A bind mount of it still needs nbdfuse. The `umount` of the last mount ends that.
  if (mounts.some((entry) => diskFolderOf(entry) === folder)) return;
  await stopDisk(folder, tools, lazy);
}

function notOurs({ mountPoint, type, source }: MountEntry): OverlaybdError {
  const facts = `${source} (${type}) is mounted there, not by overlaybd-nbd`;
  return new OverlaybdError('BAD_ARGUMENT', `${mountPoint}: ${facts}; use umount(8)`);
}
