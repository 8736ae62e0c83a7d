// One turn of a handshake: takes the options that have come, but no more than the other connections of the
// thread can wait for.

import type { Handshake, HandshakeResult } from '../nbd/handshake.js';
import { MAX_BYTES_PER_TURN, MAX_STEPS_PER_TURN, MAX_UNSENT_BYTES } from '../nbd/limits.js';
import type { Outbox } from '../nbd/outbox.js';
import type { Inbox } from './inbox.js';

/** How it ended. 'waiting': for bytes of the client, or until it has taken its replies. */
export type HandshakeTurn =
  | 'turn is over'
  | 'waiting'
  | 'tls'
  | 'aborted'
  | 'hung up'
  | (HandshakeResult & { readonly kind: 'transmission' });

export function handshakeTurn(handshake: Handshake, inbox: Inbox, outbox: Outbox): HandshakeTurn {
  const turnEnd = outbox.totalSent + outbox.unsent + MAX_BYTES_PER_TURN;
  let steps = 0;
  while (!handshake.result) {
    // Lists of exports are long.
    if (++steps > MAX_STEPS_PER_TURN || outbox.totalSent + outbox.unsent >= turnEnd) {
      return 'turn is over';
    }
    if (outbox.unsent >= MAX_UNSENT_BYTES) {
      outbox.flush();
      // Options wait in the inbox until the socket is writable again.
      if (outbox.blocked || outbox.failed !== 0) return 'waiting';
    }
    const used = handshake.step(inbox.unused);
    if (used === 0) break;
    inbox.start += used;
  }
  const { result } = handshake;
  if (result?.kind === 'transmission') return result;
  // A slow client gets the rest later; the deadline of the handshake is running.
  outbox.flush();
  if (outbox.unsent > 0) return 'waiting';
  if (result) return 'aborted';
  if (inbox.ended) return 'hung up';
  return handshake.startsTls ? 'tls' : 'waiting';
}
