// What the process was started with, beside its command line: what a predecessor offers, sockets from the
// service manager, a client on standard input and output.

import type { ActivatedSocket } from '../listen/socket-activation.js';
import type { StdioConnection } from '../listen/stdio.js';
import { tellPredecessor } from '../upgrade/failure.js';
import { activatedOf, takeHandover, type Handover } from '../upgrade/handover.js';

export interface StartedWith {
  /** null: this process takes over from no other. */
  readonly handover: Handover | null;
  readonly activated: readonly ActivatedSocket[];
}

/**
 * Takes descriptors and variables away from the rest of the process and from its children.
 * @throws OverlaybdError BAD_CONFIG if one of them is wrong
 */
export async function takeStartedWith(): Promise<StartedWith> {
  const handover = takeHandover(process.env);
  if (handover) return { handover, activated: activatedOf(handover) };
  const { takeActivatedSockets } = await import('../listen/socket-activation.js');
  return { handover, activated: takeActivatedSockets(process.env, process.pid) };
}

/**
 * The client on standard input and output, or null where clients connect to a socket from the service
 * manager: libnbd's tools run `[ overlaybd-nbd serve -s ... ]` with such a socket, and no client.
 */
export async function takeStdioClient({ activated }: StartedWith): Promise<StdioConnection | null> {
  if (activated.length > 0) return null;
  return (await import('../listen/stdio.js')).takeStdio();
}

/** Tells a predecessor that waits why this process is not going to be ready, however early that is. Never throws. */
export function tellWhyNotReady(error: unknown): void {
  try {
    // The command line may be wrong: then nothing has taken it yet.
    takeHandover(process.env);
    tellPredecessor(error);
  } catch {
    // There is no channel to a predecessor, and the log has the error.
  }
}
