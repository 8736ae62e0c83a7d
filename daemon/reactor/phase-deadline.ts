// The deadline of a phase: how long it may take, and the reason that the log gives when it passes.

import type { ExportTable } from '../nbd/export.js';
import { HANDSHAKE_MS_PER_EXPORT } from '../nbd/limits.js';
import { HUNG_UP, STOPS } from './close-reason.js';
import type { Deadlines } from './connection-context.js';
import type { Deadline } from './deadline.js';
import type { DeadlineKind } from './phase.js';

/** What deadlines depend on. */
export interface Circumstances {
  readonly deadlines: Deadlines;
  readonly exports: ExportTable;
  /** The client has hung up, or shut down its side. */
  readonly hasEnded: boolean;
}

/** Replaces the deadline of the phase before; null: this phase has none. */
export function startDeadline(
  deadline: Deadline,
  kind: DeadlineKind | null,
  { deadlines: { handshakeMs, drainMs, lingerMs }, exports, hasEnded }: Circumstances,
): void {
  switch (kind) {
    case null:
      return deadline.clear();
    case 'handshake': {
      // A client that lists the exports may ask for each.
      const more = HANDSHAKE_MS_PER_EXPORT * [...exports.list()].length;
      return deadline.after(handshakeMs + more, 'handshake took too long');
    }
    case 'last replies': {
      const last = hasEnded ? HUNG_UP : 'client said goodbye';
      return deadline.whenStuck(drainMs, `${last} and did not take its replies`);
    }
    case 'drain':
      return deadline.after(drainMs, 'client did not take its replies before the daemon stopped');
    case 'linger':
      // Lingering ends draining, within the same time.
      return deadline.after(Math.min(lingerMs, deadline.leftMs), STOPS);
  }
}
