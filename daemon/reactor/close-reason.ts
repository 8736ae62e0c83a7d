// The reason that the log gives for the end of a connection.

import type { CloseKind, ConnectionSummary } from './messages.js';

export const HUNG_UP = 'client hung up';
export const STOPS = 'daemon stops';

/**
 * A client that was refused an export leaves because of that, however it leaves.
 * @param negotiation null after the client has chosen an export
 */
export function whyClosed(
  negotiation: { readonly refused: string | null } | null,
  reason: string,
  kind: CloseKind,
): Pick<ConnectionSummary, 'reason' | 'kind'> {
  const refused = negotiation?.refused ?? null;
  if (refused === null || kind === 'protocol' || kind === 'bug') return { reason, kind };
  return { reason: `${refused}; ${reason}`, kind: 'refused' };
}
