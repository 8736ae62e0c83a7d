// What the log says of why a connection is over, when there is more to say than how it ended.

import type { Handshake } from '../nbd/handshake.js';
import type { CloseKind, ConnectionSummary } from './messages.js';

export const HUNG_UP = 'client hung up';
export const STOPS = 'daemon stops';

/** Who was refused an export has left because of that, however. @param handshake while there is one */
export function whyClosed(
  handshake: Handshake | null,
  reason: string,
  kind: CloseKind,
): Pick<ConnectionSummary, 'reason' | 'kind'> {
  const refused = handshake?.refused ?? null;
  if (refused === null || kind === 'protocol' || kind === 'bug') return { reason, kind };
  return { reason: `${refused}; ${reason}`, kind: 'refused' };
}
