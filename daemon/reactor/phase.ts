// The phases of a connection: in each, what becomes of received bytes, which deadline runs, and which
// phases may follow. Moves nothing.

import { POLL_READABLE, POLL_WRITABLE } from '../native/poll.js';

export type PhaseName =
  | 'new'
  | 'handshake'
  /** The client begins TLS: its bytes are the TLS transport's. */
  | 'tls'
  | 'serving'
  /** Before it is offered to another process: it answers the requests that it has taken, and takes no more. */
  | 'pausing'
  /** The client has sent NBD_CMD_DISC or hung up: the requests that have come are answered. */
  | 'finishing'
  /** The daemon stops: the requests that have come are answered. */
  | 'draining'
  /** All replies are sent: bytes of the client are discarded until it hangs up. */
  | 'lingering'
  | 'closed';

export type DeadlineKind = 'handshake' | 'last replies' | 'drain' | 'linger';

export interface Phase {
  readonly name: PhaseName;
  /** What becomes of bytes that have been received. */
  readonly bytes: 'options' | 'requests' | 'discarded' | 'kept';
  /** Whether the socket is watched for more: if the protocol can use them, always, or never. */
  readonly reads: 'if wanted' | 'always' | 'never';
  /** Whether there may be bytes to send. */
  readonly writes: boolean;
  /** Whether the connection ends when the requests that have come are answered. */
  readonly ends: boolean;
  /** A phase that has the same deadline as the one before continues that one. */
  readonly deadline: DeadlineKind | null;
  readonly next: readonly PhaseName[];
}

export const PHASES: { readonly [name in PhaseName]: Phase & { readonly name: name } } = {
  new: {
    name: 'new',
    bytes: 'kept',
    reads: 'never',
    writes: false,
    ends: false,
    deadline: null,
    next: ['handshake', 'serving', 'closed'],
  },
  handshake: {
    name: 'handshake',
    bytes: 'options',
    reads: 'if wanted',
    writes: true,
    ends: false,
    deadline: 'handshake',
    next: ['tls', 'serving', 'closed'],
  },
  tls: {
    name: 'tls',
    bytes: 'kept',
    reads: 'never',
    writes: true,
    ends: false,
    deadline: 'handshake',
    next: ['handshake', 'closed'],
  },
  serving: {
    name: 'serving',
    bytes: 'requests',
    reads: 'if wanted',
    writes: true,
    ends: false,
    deadline: null,
    next: ['pausing', 'finishing', 'draining', 'closed'],
  },
  pausing: {
    name: 'pausing',
    bytes: 'requests',
    reads: 'never',
    writes: true,
    ends: false,
    deadline: null,
    next: ['serving', 'draining', 'closed'],
  },
  finishing: {
    name: 'finishing',
    bytes: 'requests',
    reads: 'never',
    writes: true,
    ends: true,
    deadline: 'last replies',
    next: ['draining', 'closed'],
  },
  draining: {
    name: 'draining',
    bytes: 'requests',
    reads: 'never',
    writes: true,
    ends: true,
    deadline: 'drain',
    next: ['lingering', 'closed'],
  },
  lingering: {
    name: 'lingering',
    bytes: 'discarded',
    reads: 'always',
    writes: false,
    ends: true,
    deadline: 'linger',
    next: ['closed'],
  },
  closed: {
    name: 'closed',
    bytes: 'discarded',
    reads: 'never',
    writes: false,
    ends: true,
    deadline: null,
    next: [],
  },
};

/** @throws TypeError for a phase that cannot follow: a bug */
export function checkNext(from: Phase, to: Phase): void {
  if (from.next.includes(to.name)) return;
  throw new TypeError(`a connection cannot go from phase ${from.name} to ${to.name}`);
}

/**
 * The events for which the socket is watched. Called after each of them, so it makes no object.
 * @param input whether the protocol can use more bytes of the client
 * @param output whether there are replies that the transport has not passed on
 */
export function watchedEvents({ reads, writes }: Phase, input: boolean, output: boolean): number {
  const readable = reads === 'always' || (reads === 'if wanted' && input);
  return (readable ? POLL_READABLE : 0) | (writes && output ? POLL_WRITABLE : 0);
}
