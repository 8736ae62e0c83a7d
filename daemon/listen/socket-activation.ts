// Sockets that systemd passed to the process: LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES (sd_listen_fds(3)).
// Accepts nothing.

import { OverlaybdError } from '../errors.js';
import { EAFNOSUPPORT, EBADF, EINVAL, ENOTSOCK, EPROTOTYPE, errnoText } from '../lib/errno.js';
import { sockets } from '../native/socket.js';

const FIRST_FD = 3;
/** More sockets are a mistake, or an attempt to make us check descriptors without end. */
export const MAX_ACTIVATED = 256;
const VARIABLES = ['LISTEN_FDS', 'LISTEN_PID', 'LISTEN_FDNAMES', 'LISTEN_PIDFDID'] as const;
/** The name that systemd gives to a socket without one. */
const UNNAMED = 'unknown';

export interface ActivatedSocket {
  readonly fd: number;
  readonly name: string;
}

/**
 * The sockets that were passed to this process, ready to accept; none if they are for another process.
 * Removes the variables, so that no child uses them.
 * @throws OverlaybdError BAD_CONFIG if the variables are wrong, or do not name listening sockets
 */
export function takeActivatedSockets(env: NodeJS.ProcessEnv, pid: number): ActivatedSocket[] {
  const variables = { ...env };
  for (const name of VARIABLES) delete env[name];
  const activated = activatedSockets(variables, pid);
  for (const { fd, name } of activated) {
    const result = sockets.adoptListener(fd);
    if (result < 0) throw notOurs(fd, name, -result);
  }
  return activated;
}

/**
 * Parses the variables. Does not check the descriptors. @throws OverlaybdError BAD_CONFIG
 * @internal for its unit test
 */
export function activatedSockets(env: NodeJS.ProcessEnv, pid: number): ActivatedSocket[] {
  const { LISTEN_FDS: fds, LISTEN_PID: forPid, LISTEN_FDNAMES: names } = env;
  if (fds === undefined || forPid === undefined) return [];
  if (!/^\d+$/.test(forPid)) throw wrongVariable('LISTEN_PID', forPid, 'is not a number');
  if (Number(forPid) !== pid) return [];
  if (!/^\d+$/.test(fds)) throw wrongVariable('LISTEN_FDS', fds, 'is not a number');
  const count = Number(fds);
  if (count === 0) return [];
  if (count > MAX_ACTIVATED) throw wrongVariable('LISTEN_FDS', fds, `is above ${MAX_ACTIVATED}`);
  const list = names === undefined ? null : names.split(':');
  if (list && list.length !== count) {
    throw wrongVariable(
      'LISTEN_FDNAMES',
      names ?? '',
      `has ${list.length} names for ${count} sockets`,
    );
  }
  return Array.from({ length: count }, (_, i) => ({
    fd: FIRST_FD + i,
    name: list?.[i] || UNNAMED,
  }));
}

function notOurs(fd: number, name: string, errno: number): OverlaybdError {
  const known: Record<number, string> = {
    [EBADF]: 'is not open',
    [ENOTSOCK]: 'is not a socket',
    [EPROTOTYPE]: 'is not a stream socket',
    [EINVAL]: 'does not listen (it needs Accept=no)',
    [EAFNOSUPPORT]: 'is neither TCP, Unix nor vsock',
  };
  return new OverlaybdError(
    'BAD_CONFIG',
    `LISTEN_FDS: descriptor ${fd} (${JSON.stringify(name)}) ${known[errno] ?? errnoText(errno)}`,
  );
}

function wrongVariable(variable: string, value: string, why: string): OverlaybdError {
  return new OverlaybdError('BAD_CONFIG', `${variable}: ${JSON.stringify(value)} ${why}`);
}
