// Resolves users and groups of the configuration, by name or by number, to numbers.

import type { Account } from '../config/listener.js';
import { OverlaybdError } from '../errors.js';
import { ENOENT, errnoText } from '../lib/errno.js';
import { accounts } from '../native/accounts.js';

/** @throws OverlaybdError NOT_FOUND when there is no such user */
export function userId(account: Account): number {
  return typeof account === 'number' ? account : known('user', account, accounts.userId(account));
}

/** @throws OverlaybdError NOT_FOUND when there is no such group */
export function groupId(account: Account): number {
  return typeof account === 'number' ? account : known('group', account, accounts.groupId(account));
}

function known(what: string, name: string, id: number): number {
  if (id >= 0) return id;
  const why = id === -ENOENT ? 'there is no such name' : errnoText(-id);
  throw new OverlaybdError('NOT_FOUND', `${what} ${JSON.stringify(name)}: ${why}`);
}
