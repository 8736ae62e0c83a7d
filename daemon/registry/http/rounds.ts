// Retries: endpoints in their order, mirrors first, then pauses, until the deadline. Knows nothing of what is
// asked.

import type { Breaker } from './breaker.js';
import type { Endpoint } from './endpoint.js';
import { Failure } from './failure.js';
import type { HttpLimits } from './limits.js';
import { pause, untilAborted } from './waiting.js';

export interface RoundParts {
  readonly limits: HttpLimits;
  /** From 0 to below 1. */
  readonly random: () => number;
  /** The breaker of the host that an endpoint would ask first. */
  readonly breakerOf: (endpoint: Endpoint) => Breaker;
}

export interface RoundOptions {
  /** Whether an endpoint shall not be asked again after a failure. */
  readonly isFinal: (failure: Failure, endpoint: Endpoint) => boolean;
  /** Until the deadline. */
  readonly remainingMs: () => number;
  readonly signal: AbortSignal;
  /** Whether it waits for probes while all breakers are open. If not, it fails then. */
  readonly waitsForProbes?: boolean;
}

/** How a request went so far. */
export class Effort {
  attempts = 0;
  /** Attempts since the last progress, without probes. */
  counted = 0;
  last: Failure | null = null;

  progressed(): void {
    this.counted = 0;
  }
}

/**
 * Tries an endpoint after the other until one gives what is asked for. While all breakers are open, waits for their
 * probes, unless its caller has something else to go on with: a wait is better than an error in a mounted file system.
 * @param attempt asks one endpoint once
 * @param effort is kept up to date, for messages
 * @throws the Failure of the last endpoint that answered; the reason of the signal
 */
export async function inRounds<T>(
  parts: RoundParts,
  endpoints: readonly Endpoint[],
  attempt: (endpoint: Endpoint) => Promise<T>,
  effort: Effort,
  { isFinal, remainingMs, signal, waitsForProbes = true }: RoundOptions,
): Promise<T> {
  const { limits, random, breakerOf } = parts;
  const left = new Set(endpoints);
  let pauses = 0;
  for (;;) {
    const waits: number[] = [];
    let wasAsked = false;
    for (const endpoint of endpoints) {
      if (!left.has(endpoint)) continue;
      const breaker = breakerOf(endpoint);
      // An attempt at an open breaker sends nothing: it fails with the last error of the host.
      if (breaker.waitMs !== 0 && waitsForProbes) continue;
      const isProbe = breaker.state !== 'closed';
      try {
        effort.attempts++;
        return await attempt(endpoint);
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        if (error.kind === 'closed') {
          // Another request was faster, or the breaker of a token service is open.
          effort.attempts--;
          effort.last ??= error;
          continue;
        }
        wasAsked = true;
        effort.last = error;
        if (error.kind === 'retry') {
          if (!isProbe) effort.counted++;
          waits.push(error.facts.retryAfterMs ?? 0);
        }
        if (isFinal(error, endpoint)) left.delete(endpoint);
        if (effort.counted >= limits.attempts) throw error;
      }
    }
    const { last } = effort;
    if (left.size === 0 && last) throw last;
    const breakers = [...left].map(breakerOf);
    if (!wasAsked || breakers.every(({ state }) => state !== 'closed')) {
      if (!waitsForProbes && last) throw last;
      await anyProbe(breakers, limits, signal);
      continue;
    }
    const most = Math.min(limits.backoffMostMs, limits.backoffFirstMs * 2 ** pauses++);
    const asked = waits.length > 0 ? Math.min(...waits) : 0;
    // To wait for a time that does not come would only hide the reason.
    if (last && asked > remainingMs()) throw last;
    await pause(Math.max(asked, random() * most), signal);
  }
}

/** Until one of the breakers may let a request through, or one of them changes. */
async function anyProbe(
  breakers: readonly Breaker[],
  { probeFirstMs }: HttpLimits,
  signal: AbortSignal,
): Promise<void> {
  const waits = breakers.map(({ waitMs }) => waitMs).filter((each) => each !== null);
  // A token service may be what is waited for: its breaker is not among these.
  const soonest = Math.min(...waits.map((each) => (each === 0 ? probeFirstMs / 4 : each)));
  const ended = new AbortController();
  const offs: (() => void)[] = [];
  const changed = new Promise<void>((resolve) => {
    for (const each of breakers) offs.push(each.watch(resolve));
  });
  try {
    const time = Number.isFinite(soonest)
      ? [pause(soonest, ended.signal).catch(() => undefined)]
      : [];
    await untilAborted(Promise.race([changed, ...time]), signal);
  } finally {
    ended.abort();
    for (const off of offs) off();
  }
}
