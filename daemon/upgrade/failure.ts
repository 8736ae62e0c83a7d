// Tells the predecessor why this daemon, its successor, does not become ready.

import { messageBytes } from '../ipc/message-channel.js';
import { postedError, type PostedError } from '../lib/posted-error.js';
import { SHUT_RDWR, sockets } from '../native/socket.js';

/**
 * Has the process id of a predecessor that hears why its successor fails. A predecessor of version 0.1 takes any message for
 * "ready"; it passes the variable of its own predecessor on.
 */
export const HEARING_VARIABLE = 'OVERLAYBD_NBD_HANDOVER_HEARING';

/** What a daemon says to its predecessor, once. */
export type ToPredecessor =
  | { readonly type: 'ready' }
  /** Only to one that hears it. */
  | { readonly type: 'failed'; readonly error: PostedError };

interface Waiting {
  readonly channel: number;
  readonly hears: boolean;
}

/** The predecessor, as long as it waits; null: there is none. */
let predecessor: Waiting | null = null;

/** @param channel the descriptor of the channel to it. Removes the variable */
export function predecessorWaits(channel: number, env: NodeJS.ProcessEnv): void {
  const hears = Number(env[HEARING_VARIABLE]) === process.ppid;
  delete env[HEARING_VARIABLE];
  predecessor = { channel, hears };
}

/** This daemon is ready: the channel has another owner. */
export function predecessorWaitsNoMore(): void {
  predecessor = null;
}

/** Says why this daemon is not going to be ready, and ends the channel. If no predecessor waits, does nothing. */
export function tellPredecessor(error: unknown): void {
  if (!predecessor) return;
  const { channel, hears } = predecessor;
  predecessor = null;
  if (hears) {
    const bytes = messageBytes({
      type: 'failed',
      error: postedError(error, 0),
    } satisfies ToPredecessor);
    // The buffer of the socket is empty, and larger. If it fails, the log has the error.
    sockets.send(channel, bytes, 0, bytes.length);
  }
  sockets.shutdown(channel, SHUT_RDWR);
}
