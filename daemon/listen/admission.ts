// Who may come in by a listener, what they see, and why a connection is refused. Pure.

import type { Account, ListenerSpec } from '../config/listener.js';
import { DEFAULT_CONNECTIONS_PER_PEER, MAX_CONNECTIONS } from '../nbd/limits.js';

/** Who may come in by a listener, and what they see. */
export interface Admission {
  /** Names of the exports that can be seen; null is all of them. */
  readonly exports: readonly string[] | null;
  /** Ids of the users who may connect; null is everyone. */
  readonly users: ReadonlySet<number> | null;
  readonly maxConnectionsPerPeer: number;
}

/** A connection that wants to come in. */
export interface Applicant {
  /** The peers that share one limit; see {@link Admission.maxConnectionsPerPeer}. */
  readonly group: string;
  /** The user of a Unix socket; -errno for any other. */
  readonly uid: number;
  /** Open connections of its group. */
  readonly connectionsOfGroup: number;
  /** Open connections of the daemon, devices' included. */
  readonly connections: number;
}

export interface Refusal {
  /** The same for refusals that share a line of the log. */
  readonly key: string;
  readonly reason: string;
}

/** @throws what `userId` throws for a user that does not exist */
export function admissionOf(spec: ListenerSpec, userId: (account: Account) => number): Admission {
  return {
    exports: spec.exports,
    users: spec.users && new Set(spec.users.map(userId)),
    maxConnectionsPerPeer: spec.maxConnectionsPerPeer ?? DEFAULT_CONNECTIONS_PER_PEER,
  };
}

/** @returns why the connection may not come in, or null if it may */
export function refusalOf(
  { users, maxConnectionsPerPeer: most }: Admission,
  { group, uid, connectionsOfGroup, connections }: Applicant,
): Refusal | null {
  if (users && !users.has(uid)) {
    return { key: `user ${group}`, reason: 'not a user who may connect here' };
  }
  if (connections >= MAX_CONNECTIONS) {
    return { key: 'all', reason: `${MAX_CONNECTIONS} connections are open` };
  }
  if (connectionsOfGroup >= most) {
    return { key: `peer ${group}`, reason: `${group} has ${most} connections open` };
  }
  return null;
}
