// Names and descriptions of errno values.

import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';

/** Functions of the addon return them negated. */
export const {
  EACCES,
  EADDRINUSE,
  EADDRNOTAVAIL,
  EAFNOSUPPORT,
  EAGAIN,
  EBADF,
  EBUSY,
  ECONNREFUSED,
  ECONNRESET,
  EINVAL,
  EIO,
  EISDIR,
  ELOOP,
  EMSGSIZE,
  ENAMETOOLONG,
  ENOENT,
  ENOMEM,
  ENOTSOCK,
  ENOTTY,
  ENXIO,
  EOPNOTSUPP,
  EPERM,
  EPIPE,
  EPROTOTYPE,
  ETIMEDOUT,
  EWOULDBLOCK,
} = constants.errno;

/** Errors of disks and network file systems for which libuv has no name. */
const KERNEL_NAMES: Readonly<Record<number, string>> = {
  52: 'EBADE',
  116: 'ESTALE',
  117: 'EUCLEAN',
  122: 'EDQUOT',
  123: 'ENOMEDIUM',
  124: 'EMEDIUMTYPE',
  133: 'EHWPOISON',
};

/**
 * @param errno positive. @returns "ENOSPC" for 28; "errno 9999" if the number has no name
 * @internal for its unit test
 */
export function errnoName(errno: number): string {
  const [known] = getSystemErrorMap().get(-errno) ?? [];
  return known ?? KERNEL_NAMES[errno] ?? nodeName(errno) ?? `errno ${errno}`;
}

/** "ENOSPC (no space left on device)". */
export function errnoText(errno: number): string {
  const name = errnoName(errno);
  const [, words] = getSystemErrorMap().get(-errno) ?? [];
  return words === undefined ? name : `${name} (${words})`;
}

function nodeName(errno: number): string | undefined {
  return Object.entries(constants.errno).find(([, value]) => value === errno)?.[0];
}

/** "No space left on device", as strerror(3) prints it; the name if there is no description. */
export function errnoWords(errno: number): string {
  const [, words] = getSystemErrorMap().get(-errno) ?? [];
  return words === undefined ? errnoName(errno) : words.charAt(0).toUpperCase() + words.slice(1);
}
