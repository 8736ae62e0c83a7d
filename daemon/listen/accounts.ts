// Resolves users and groups of the configuration to numbers. getent(1) looks names up in
// whatever databases the system is configured to use. Some of them wait for a network; as a process of its
// own, the lookup can be given a time limit.

import type { Account } from '../config/listener.js';
import { OverlaybdError, messageOf } from '../errors.js';

const LOOKUP_TIMEOUT_MS = 10_000;
/** getent's exit code if there is no such entry. */
const NO_SUCH_ENTRY = 2;

/** @throws OverlaybdError NOT_FOUND if there is no such user, IO if the lookup fails or takes too long */
export function userId(account: Account): number {
  return typeof account === 'number' ? account : lookUp('user', 'passwd', account);
}

/** @throws OverlaybdError NOT_FOUND if there is no such group, IO if the lookup fails or takes too long */
export function groupId(account: Account): number {
  return typeof account === 'number' ? account : lookUp('group', 'group', account);
}

function lookUp(what: string, database: string, name: string): number {
  const subject = `${what} ${JSON.stringify(name)}`;
  // getent takes a number for an id, and a key without characters for none.
  if (name === '' || /^\d+$/.test(name)) throw notFound(subject);
  // Loaded here: most starts look up no name.
  const { spawnSync } = process.getBuiltinModule('node:child_process');
  const { status, stdout, error } = spawnSync('getent', ['--', database, name], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: LOOKUP_TIMEOUT_MS,
    killSignal: 'SIGKILL',
  });
  if (error) {
    throw new OverlaybdError('IO', `${subject}: getent: ${messageOf(error)}`, { cause: error });
  }
  if (status === NO_SUCH_ENTRY) throw notFound(subject);
  // name:password:id:...
  const [found, , id = ''] = stdout.split(':');
  if (status === 0 && found === name && /^\d+$/.test(id)) return Number(id);
  throw new OverlaybdError('IO', `${subject}: getent: unexpected answer, exit code ${status}`);
}

function notFound(subject: string): OverlaybdError {
  return new OverlaybdError('NOT_FOUND', `${subject}: there is no such name`);
}
