// Decides which clients a listener accepts and which exports they see. Pure.

import type { Account, ListenerSpec } from '../config/listener.js';
import type { Peer } from '../reactor/peer.js';
import { DEFAULT_CONNECTIONS_PER_PEER, MAX_CONNECTIONS } from './limits.js';

/** Which clients a listener accepts, and what they see. */
export interface Admission {
  /** Names of the visible exports; null for all. */
  readonly exports: readonly string[] | null;
  /** Ids of the users who may connect; null for all. */
  readonly users: ReadonlySet<number> | null;
  readonly maxConnectionsPerPeer: number;
}

/** Numbers of open connections. */
export interface OpenConnections {
  /** Of the group of a peer. */
  readonly ofGroup: number;
  /** Of the daemon, including those of devices. */
  readonly ofAll: number;
}

export interface Refusal {
  /** The same for refusals that share a line of the log. */
  readonly key: string;
  readonly reason: string;
}

/** @throws what `userId` throws if a user does not exist */
export function admissionOf(spec: ListenerSpec, userId: (account: Account) => number): Admission {
  return {
    exports: spec.exports,
    users: spec.users && new Set(spec.users.map(userId)),
    maxConnectionsPerPeer: spec.maxConnectionsPerPeer ?? DEFAULT_CONNECTIONS_PER_PEER,
  };
}

/** @returns why a connection of the peer is refused, or null */
export function refusalOf(
  { users, maxConnectionsPerPeer: most }: Admission,
  { group, uid }: Peer,
  { ofGroup, ofAll }: OpenConnections,
): Refusal | null {
  if (users && (uid === null || !users.has(uid))) {
    return { key: `user ${group}`, reason: 'not a user who may connect here' };
  }
  if (ofAll >= MAX_CONNECTIONS) {
    return { key: 'all', reason: `${MAX_CONNECTIONS} connections are open` };
  }
  if (ofGroup >= most) {
    return { key: `peer ${group}`, reason: `${group} has ${most} connections open` };
  }
  return null;
}
