// The meaning of an answer that is not the expected one.

import { explanation } from './body.js';
import { Failure, PROXY_LOGIN, retryAfterMs, type FailureKind } from './failure.js';
import type { HttpLimits } from './limits.js';
import type { Incoming } from './wire.js';

const ADVICE: Readonly<Record<number, string>> = {
  407: PROXY_LOGIN,
  429: 'a login may have a higher limit ("docker login"), and so may a mirror (--mirror)',
};

/** Reads the explanation of such an answer. */
export async function failureOfAnswer(
  incoming: Incoming,
  limits: HttpLimits,
  signal: AbortSignal,
): Promise<Failure> {
  const { host, status, headers } = incoming;
  const why = await explanation(incoming, limits, signal);
  const wait = retryAfterMs(headers['retry-after'], Date.now());
  const failure = new Failure(kindOf(status), `answers ${status}${why}`, {
    host,
    status,
    retryAfterMs: wait ?? undefined,
  });
  const advice = ADVICE[status];
  return advice === undefined ? failure : failure.with(advice);
}

function kindOf(status: number): FailureKind {
  if (status === 401 || status === 403) return 'auth';
  if (status === 404 || status === 410) return 'gone';
  if (status === 408 || status === 425 || status === 429 || status >= 500) return 'retry';
  return 'bad';
}
