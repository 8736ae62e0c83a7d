// What a failed call of the kernel's NBD interface means, for an operator.

import { OverlaybdError, type ErrorCode } from '../errors.js';
import { EACCES, EBUSY, EINVAL, ENOENT, ENXIO, EPERM, ETIMEDOUT, errnoText } from '../lib/errno.js';
import type { Sysfs } from './sysfs.js';

/** The module is not there, or too old to have netlink. */
export function noKernelError(sysfs: Sysfs): OverlaybdError {
  const message = sysfs.hasModule
    ? 'kernel: its nbd module has no netlink interface (it is older than 4.12)'
    : 'kernel: no NBD devices: load the module with `modprobe nbd`; without root or the module, `mount --fuse` works';
  return new OverlaybdError('NO_KERNEL', message);
}

export function kernelError(what: string, index: number, errno: number): OverlaybdError {
  const known: Record<number, readonly [ErrorCode, string]> = {
    [EBUSY]: ['BUSY', 'the device is in use; without --device a free one is taken'],
    [EPERM]: [
      'PERMISSION',
      'not permitted: CAP_SYS_ADMIN is needed (run as root, or use the attach helper)',
    ],
    [EACCES]: [
      'PERMISSION',
      'not permitted: CAP_SYS_ADMIN is needed (run as root, or use the attach helper)',
    ],
    [ENOENT]: ['NOT_FOUND', 'there is no such device (the module was loaded with fewer: nbds_max)'],
    [ENXIO]: ['NOT_FOUND', 'there is no such device (the module was loaded with fewer: nbds_max)'],
    [ETIMEDOUT]: ['IO', 'the kernel has not answered for 10 s'],
    [EINVAL]: [
      'IO',
      'the kernel refused (EINVAL): the device is not connected, or another backend has it',
    ],
  };
  const [code, why] = known[errno] ?? ['IO', `failed: ${errnoText(errno)}`];
  return new OverlaybdError(code, `/dev/nbd${index}: ${what}: ${why}`);
}
