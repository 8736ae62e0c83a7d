// `--wait`: tries again, for as long as was asked for, what the daemon, its image or the kernel is not
// ready for yet. Asks nobody itself.

import { setTimeout as pause } from 'node:timers/promises';
import { OverlaybdError, messageOf } from '../errors.js';
import { remark } from './output.js';

/** A year; what waits longer waits for nothing. */
export const MAX_WAIT_SECONDS = 31_536_000;
const FIRST_PAUSE_MS = 100;
const LAST_PAUSE_MS = 5000;
/** The same reason is told again after so long, another one at once, but not more often than tries are made. */
const TELL_AGAIN_MS = 600_000;

export interface Patience {
  /** How long it is tried again; 0 is once. */
  readonly seconds: number;
  /** Told why it waits. */
  readonly tell: (message: string) => void;
  /** Other than the clock's in tests. */
  readonly pause?: (milliseconds: number) => Promise<unknown>;
  readonly now?: () => number;
}

/**
 * Whatever fails may have been mended meanwhile, but for a wrong command line.
 * @throws OverlaybdError the last one, when time is up
 */
export async function patiently<T>(work: () => Promise<T>, patience: Patience): Promise<T> {
  const now = patience.now ?? (() => performance.now());
  const end = now() + patience.seconds * 1000;
  let told = '';
  let toldAt = -Infinity;
  for (let wait = FIRST_PAUSE_MS; ; wait = Math.min(wait * 2, LAST_PAUSE_MS)) {
    try {
      return await work();
    } catch (error) {
      const isFinal = !(error instanceof OverlaybdError) || error.code === 'BAD_ARGUMENT';
      const left = end - now();
      if (isFinal || left <= 0) throw error;
      const message = messageOf(error);
      if (message !== told || now() - toldAt > TELL_AGAIN_MS) {
        patience.tell(`waiting: ${message}`);
        [told, toldAt] = [message, now()];
      }
      await (patience.pause ?? pause)(Math.min(wait, left));
    }
  }
}

/** @throws OverlaybdError BAD_ARGUMENT */
export function waitSeconds(value: number | undefined): number {
  const seconds = value ?? 0;
  if (seconds >= 0 && seconds <= MAX_WAIT_SECONDS) return seconds;
  throw new OverlaybdError(
    'BAD_ARGUMENT',
    `--wait: not a number of seconds from 0 to ${MAX_WAIT_SECONDS}`,
  );
}

/** Tells on standard error, where the journal of a unit has it. */
export function tellOnStderr(message: string): void {
  remark(`overlaybd-nbd: ${message}`);
}
