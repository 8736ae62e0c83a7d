// `overlaybd-nbd umount`: its options. The work is in mount/.

import { join } from 'node:path';
import type { Argv } from 'yargs';
import { detachDevice } from '../devices/attach-client.js';
import { deviceIndexOf } from '../kernel/device-path.js';
import { BACKEND_PREFIX, Sysfs } from '../kernel/sysfs.js';
import { currentMounts } from '../mount/mount-point.js';
import { programs } from '../mount/programs.js';
import { umount } from '../mount/umount.js';
import { folderOf, stateOption } from './options/client.js';
import { EXIT_OK } from './exit-codes.js';

export interface UmountArguments {
  dir?: string | undefined;
  lazy?: boolean | undefined;
  state?: string | undefined;
}

export function builder(yargs: Argv): Argv<UmountArguments> {
  return stateOption(yargs)
    .positional('dir', { describe: 'the mount point', type: 'string' })
    .option('lazy', {
      describe: 'hide the mount at once; detach when the last program has closed its files there',
      type: 'boolean',
    })
    .example('$0 umount /mnt', 'unmount and detach');
}

/** @returns the exit code */
export async function run({ dir = '', lazy = false, state }: UmountArguments): Promise<number> {
  await umount(dir, lazy, {
    programs,
    mounts: currentMounts,
    isOurs: (device) => isOurs(device, state),
    detach: (device, onClose) => detachDevice(folderOf(state), device, { onClose }),
    isGone: async (device) =>
      (new Sysfs().device(deviceIndexOf(device) ?? -1)?.pid ?? null) === null,
    uid: process.geteuid?.() ?? 0,
  });
  return EXIT_OK;
}

/** Asks the kernel for the backend. If it keeps none, or with ioctl, our own records decide. */
async function isOurs(device: string, state: string | undefined): Promise<boolean> {
  const index = deviceIndexOf(device) ?? -1;
  const backend = new Sysfs().device(index)?.backend ?? null;
  if (backend !== null) return backend.startsWith(BACKEND_PREFIX);
  const { DeviceRecords } = await import('../devices/record.js');
  const { defaultStateFolder } = await import('../devices/state-folder.js');
  const folder = state ?? defaultStateFolder(process.env, process.geteuid?.() ?? 0);
  if (folder === null) return false;
  try {
    const records = new DeviceRecords(join(folder, 'devices')).read(() => undefined);
    return records.some((record) => record.index === index);
  } catch {
    return false; // no daemon has been here
  }
}
