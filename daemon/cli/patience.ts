// `--wait`: tries again while the daemon, its image or the kernel is not ready, until the time is up.

import { setTimeout as pause } from 'node:timers/promises';
import { OverlaybdError, messageOf } from '../errors.js';
import { errorOf } from '../lib/fault.js';
import { remark } from './output.js';
import { monotonicMs } from '../lib/clock.js';

/** A year: a longer wait is a mistake. */
export const MAX_WAIT_SECONDS = 31_536_000;
const FIRST_PAUSE_MS = 100;
const LAST_PAUSE_MS = 5000;
/** The same reason is printed again after this time, a new reason at once. */
const TELL_AGAIN_MS = 600_000;

export interface Patience {
  /** How long to try; 0 is one try. */
  readonly seconds: number;
  /** Called with the reason for waiting. */
  readonly tell: (message: string) => void;
  /** A test passes another clock. */
  readonly pause?: (milliseconds: number) => Promise<unknown>;
  readonly now?: () => number;
}

/**
 * Tries again after every error, because its cause may go away, except if the command line is wrong.
 * @throws OverlaybdError the last one, when the time is up
 */
export async function patiently<T>(work: () => Promise<T>, patience: Patience): Promise<T> {
  const now = patience.now ?? monotonicMs;
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
  const expected = `a number of seconds from 0 to ${MAX_WAIT_SECONDS}`;
  throw errorOf('BAD_ARGUMENT', { section: '--wait', expected, got: seconds }, `not ${expected}`);
}

/** Prints to standard error, which is the journal of a unit. */
export function tellOnStderr(message: string): void {
  remark(`overlaybd-nbd: ${message}`);
}
