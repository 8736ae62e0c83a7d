// What a failed call of the kernel's NBD interface means, for an operator.

import { OverlaybdError, type ErrorCode } from '../errors.js';
import { EACCES, EBUSY, EINVAL, ENOENT, ENXIO, EPERM, ETIMEDOUT, errnoText } from '../lib/errno.js';
import { devicePath } from './device-path.js';
import type { Sysfs } from './sysfs.js';

const NOT_PERMITTED = [
  'PERMISSION',
  'not permitted: CAP_SYS_ADMIN is needed (run as root, or use the attach helper)',
] as const;
const NO_DEVICE = [
  'NOT_FOUND',
  'there is no such device (the module was loaded with fewer: nbds_max)',
] as const;

const MEANINGS: Readonly<Record<number, readonly [ErrorCode, string]>> = {
  [EBUSY]: ['BUSY', 'the device is in use; without --device a free one is taken'],
  [EPERM]: NOT_PERMITTED,
  [EACCES]: NOT_PERMITTED,
  [ENOENT]: NO_DEVICE,
  [ENXIO]: NO_DEVICE,
  [ETIMEDOUT]: ['DEVICE', 'the kernel has not answered for 10 s'],
  [EINVAL]: [
    'DEVICE',
    'the kernel refused (EINVAL): the device is not connected, or another backend has it',
  ],
};

/** The module is not loaded. */
export function noModuleError(): OverlaybdError {
  return new OverlaybdError(
    'NO_KERNEL',
    'the kernel has no NBD devices: load the module with `modprobe nbd` (as root); without root or the module, `mount --fuse` works',
  );
}

/** The module is not loaded, or is too old to have netlink. */
export function noKernelError(sysfs: Sysfs): OverlaybdError {
  if (!sysfs.hasModule) return noModuleError();
  const message = 'kernel: its nbd module has no netlink interface (it is older than 4.12)';
  return new OverlaybdError('NO_KERNEL', message);
}

export function kernelError(what: string, index: number, errno: number): OverlaybdError {
  const [code, why] = MEANINGS[errno] ?? ['DEVICE', `failed: ${errnoText(errno)}`];
  return deviceError(code, index, `${what}: ${why}`);
}

/** Any error about one device. */
export function deviceError(
  code: ErrorCode,
  index: number,
  why: string,
  cause?: unknown,
): OverlaybdError {
  const device = devicePath(index);
  return new OverlaybdError(code, `${device}: ${why}`, { cause, facts: { device } });
}
