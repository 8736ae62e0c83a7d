// Finds a free device, or what uses one: mounts, swap, devices on top of it, other programs, as far as this
// process can see. Only the kernel knows the rest (kernel/probe.ts).

import { readFileSync } from 'node:fs';
import { OverlaybdError, messageOf } from '../errors.js';
import { MAX_DEVICE_INDEX, devicePath } from '../kernel/device-path.js';
import { deviceError, noModuleError } from '../kernel/errors.js';
import { BACKEND_PREFIX, type Sysfs } from '../kernel/sysfs.js';
import { printable } from '../lib/printable.js';
import { parseMountinfo, type MountEntry } from '../mount/mountinfo.js';

/**
 * Finds a free device. If there is none, returns the next number, if the kernel can add devices.
 * @param tried devices that were busy; they come last, and then all are tried again
 * @throws OverlaybdError NO_KERNEL, BUSY
 */
export function freeIndex(
  sysfs: Sysfs,
  { addsDevices }: { readonly addsDevices: boolean },
  tried: Set<number>,
): number {
  const devices = sysfs.devices();
  const unused = devices.filter(({ pid, size }) => pid === null && size === 0);
  const free = unused.find(({ index }) => !tried.has(index));
  if (free) return free.index;
  if (unused[0]) {
    tried.clear();
    return unused[0].index;
  }
  if (!sysfs.hasModule) throw noModuleError();
  const next = (devices.at(-1)?.index ?? -1) + 1;
  if (addsDevices && next <= MAX_DEVICE_INDEX) return next;
  throw new OverlaybdError(
    'BUSY',
    `all ${devices.length} NBD devices are in use, and without netlink the kernel adds none: load the module with nbds_max=N`,
  );
}

/** The error of a device that is in use, with its owner and users. */
export function inUse(index: number, sysfs: Sysfs, cause: unknown): OverlaybdError {
  const device = sysfs.device(index);
  const users = usersOf(index, sysfs);
  const who = device && device.pid !== null ? [holderOf(device.pid, device.backend)] : [];
  const all = [...who, ...users];
  if (all.length > 0) return deviceError('BUSY', index, `in use: ${all.join(', ')}`, cause);
  const facts = { device: devicePath(index) };
  return new OverlaybdError('BUSY', messageOf(cause), { cause, facts });
}

function holderOf(pid: number, backend: string | null): string {
  if (backend?.startsWith(BACKEND_PREFIX)) {
    return `another daemon of overlaybd-nbd has attached it (backend ${printable(backend)})`;
  }
  const name = text(`${pid}/comm`).trim();
  const who = name === '' ? `process ${pid}` : `process ${pid} (${printable(name)})`;
  return `${who} has connected it${backend === null ? '' : ` (backend ${printable(backend)})`}`;
}

/** @returns one phrase a user: "mounted at /mnt" */
export function usersOf(index: number, sysfs: Sysfs): string[] {
  const path = nodesOf(index);
  const pinned = pinnedMounts(index, sysfs);
  const swap = text('swaps')
    .split('\n')
    .filter((line) => path.test(line));
  return [
    ...mountsOf(index, sysfs).map(({ mountPoint }) => {
      const only = pinned.includes(mountPoint) ? ` (${PINNED})` : '';
      return `mounted at ${printable(mountPoint)}${only}`;
    }),
    ...swap.map(() => 'used as swap'),
    ...sysfs.holders(index).map((name) => `under /dev/${name}`),
  ];
}

/**
 * The mounts of a device in this process's own mount namespace that an unmount elsewhere does not reach. Such
 * a mount was copied from a namespace whose / is private, and keeps the device in use until this process ends.
 * @param read reads a file of /proc by its name; '' if it cannot be read
 */
export function pinnedMounts(index: number, sysfs: Sysfs, read = text): string[] {
  const alone = mountsOf(index, sysfs, read).filter(({ isSlave }) => !isSlave);
  if (alone.length === 0) return [];
  // Mount ids belong to one namespace. If process 1 is hidden from us, it is in another one.
  const first = parseMountinfo(read('1/mountinfo'));
  const ids = new Set(first.map(({ id }) => id));
  const groups = new Set(first.map(({ peerGroup }) => peerGroup));
  return alone
    .filter(({ id, peerGroup }) => !ids.has(id) && (peerGroup === null || !groups.has(peerGroup)))
    .map(({ mountPoint }) => mountPoint);
}

/** Describes such a mount, and what to do about it. */
export const PINNED =
  "in this daemon's own mount namespace, which an unmount elsewhere does not reach, because / is private: " +
  'restart the daemon when it is unmounted; `mount --make-rshared /` before the daemon starts avoids this';

function mountsOf(index: number, sysfs: Sysfs, read = text): MountEntry[] {
  const numbers = sysfs.numbers(index);
  const path = nodesOf(index);
  // A btrfs has its own device number, so compare the source too.
  return parseMountinfo(read('self/mountinfo')).filter(
    ({ device, source }) => numbers.includes(device) || path.test(source),
  );
}

/** The device and its partitions. */
function nodesOf(index: number): RegExp {
  return new RegExp(`^/dev/nbd${index}(p\\d+)?( |$)`);
}

function text(name: string): string {
  try {
    return readFileSync(`/proc/${name}`, 'utf8');
  } catch {
    return '';
  }
}
