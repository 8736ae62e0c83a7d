// `umount`: ends a mount of ours and what is below it, a device or the processes of FUSE. What that
// is comes from the mount table. Touches no mount of others.

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
  /** Whether we have attached the device. */
  readonly isOurs: (device: string) => Promise<boolean>;
  /** `onClose`: the kernel lets go of the device with its last user. */
  readonly detach: (device: string, onClose: boolean) => Promise<void>;
  /** Whether the kernel has let go of it, as it does with the last mount of one that `mount` has attached. */
  readonly isGone: (device: string) => Promise<boolean>;
  /** Who we are. */
  readonly uid: number;
}

/**
 * Unmounts `dir`, then detaches the device or ends the processes behind it.
 * @param lazy nobody new sees the mount, and the rest ends with the last who uses it
 * @throws OverlaybdError NOT_FOUND when nothing is mounted, BAD_ARGUMENT when it is not ours, IO
 */
export async function umount(dir: string, lazy: boolean, tools: UmountTools): Promise<void> {
  const mounted = await mountedAt(dir, await tools.mounts());
  const folder = diskFolderOf(mounted);
  if (folder !== null) return umountFuse(mounted, folder, lazy, tools);
  const device = nbdDeviceOf(mounted);
  if (device === null || !(await tools.isOurs(device))) throw notOurs(mounted);
  return umountDevice(mounted, device, lazy, tools);
}

async function umountDevice(
  { mountPoint }: MountEntry,
  device: string,
  lazy: boolean,
  tools: UmountTools,
): Promise<void> {
  const { programs, detach } = tools;
  const program = await programs.find('umount');
  if (program === null) throw new OverlaybdError('IO', 'umount: not found; install util-linux');
  // Afterwards there might be nobody any more who could be told.
  if (lazy) await detach(device, true);
  const result = await programs.run(program, [...(lazy ? ['-l'] : []), mountPoint]);
  if (result.code !== 0) {
    throw new OverlaybdError('IO', `umount: ${explainUmount(mountPoint, result)}`);
  }
  if (lazy || (await tools.isGone(device))) return;
  const other = (await tools.mounts()).find((each) => nbdDeviceOf(each) === device);
  // It would lose its device.
  if (other) {
    const facts = `${device} stays attached: it is mounted at ${other.mountPoint} too`;
    throw new OverlaybdError('IO', `${mountPoint}: unmounted; but ${facts}; umount that as well`);
  }
  try {
    await detach(device, false);
  } catch (error) {
    if (await tools.isGone(device)) return;
    const remedy = `unmounted; but ${device} is still attached: ${messageOf(error)}`;
    throw new OverlaybdError('IO', `${mountPoint}: ${remedy}`, { cause: error });
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
    throw new OverlaybdError('IO', `umount: ${explainUmount(mountPoint, result)}`);
  }
  const mounts = await tools.mounts();
  // A bind mount of it goes on; the last one takes the rest along.
  if (mounts.some((each) => diskFolderOf(each) === folder)) return;
  await stopDisk(folder, tools, lazy);
}

function notOurs({ mountPoint, type, source }: MountEntry): OverlaybdError {
  const facts = `${source} (${type}) is mounted there, which is not a mount of ours`;
  return new OverlaybdError('BAD_ARGUMENT', `${mountPoint}: ${facts}; use umount(8)`);
}
