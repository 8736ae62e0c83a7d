// Reads the bodies of answers: a range piece by piece, small ones whole, explanations of errors in part. Every
// way has a limit of bytes and of time.

import { monotonicMs } from '../../lib/clock.js';
import { Failure, failureOf, shownText } from './failure.js';
import { MAX_ERROR_BODY_BYTES, PROGRESS_BYTES, type HttpLimits } from './limits.js';
import { hasSecretOf } from './request-secrets.js';
import type { Incoming } from './wire.js';

/**
 * Reads a body of exactly `length` bytes. The last piece is handed on after the body has ended there.
 * @throws Failure retry if it is shorter, stalls or drips, bad if it is longer; the reason of the signal
 */
export function readExactly(
  incoming: Incoming,
  length: number,
  limits: HttpLimits,
  take: (bytes: Uint8Array) => void,
  signal: AbortSignal,
): Promise<void> {
  const { body, host } = incoming;
  let received = 0;
  let held: Uint8Array | null = null;
  const onData = (bytes: Uint8Array): void => {
    received += bytes.length;
    if (received > length) {
      const what = `sent more than the ${length} bytes that it announced`;
      throw new Failure('bad', what, { host, status: incoming.status });
    }
    if (held) take(held);
    held = bytes;
  };
  const onEnd = (): void => {
    if (received < length) {
      if (held) take(held);
      const what = `ended its answer after ${received} of ${length} bytes`;
      throw new Failure('retry', what, { host, status: incoming.status, counter: 'short' });
    }
    if (held) take(held);
  };
  return consume(incoming, limits.chunkMs, onData, onEnd, signal).catch((error: unknown) => {
    body.destroy();
    if (!isBreak(error)) throw error;
    // What came before the break was part of an answer that was checked.
    if (held) take(held);
    // All bytes are here; only the end of the body is missing.
    if (received < length) throw error;
  });
}

function isBreak(error: unknown): boolean {
  return error instanceof Failure && error.kind === 'retry' && error.facts.counter !== 'short';
}

/**
 * A whole body of at most `most` bytes.
 * @throws Failure bad if it is longer, so that another host is asked; else as {@link readExactly}
 */
export async function readWhole(
  incoming: Incoming,
  most: number,
  what: string,
  limits: HttpLimits,
  signal: AbortSignal,
): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let received = 0;
  const tooLong = (): Failure => {
    const { host, status } = incoming;
    const facts = { host, status, isTooLong: true };
    return new Failure('bad', `sends ${what} of more than ${most} bytes`, facts);
  };
  if (Number(incoming.headers['content-length'] ?? 0) > most) {
    incoming.body.destroy();
    throw tooLong();
  }
  const onData = (bytes: Uint8Array): void => {
    received += bytes.length;
    if (received > most) throw tooLong();
    pieces.push(bytes);
  };
  try {
    await consume(incoming, limits.chunkMs, onData, () => undefined, signal);
  } catch (error) {
    incoming.body.destroy();
    throw error;
  }
  const { host, status, headers } = incoming;
  const announced = headers['content-length'];
  if (announced !== undefined && Number(announced) !== received) {
    const text = `ended its answer after ${received} of ${String(announced)} bytes`;
    throw new Failure('retry', text, { host, status, counter: 'short' });
  }
  return Buffer.concat(pieces);
}

/** For a body that says nothing new. Its connection is kept if it is short, and closed if it may be a whole blob. */
export function discard({ body, headers }: Incoming): void {
  const length = Number(headers['content-length'] ?? Infinity);
  if (length <= MAX_ERROR_BODY_BYTES) body.resume();
  else body.destroy();
}

/**
 * How an answer explains itself, for a message: " (SlowDown)", or "", without the secrets of its request. Its connection
 * is free afterwards.
 */
export async function explanation(
  incoming: Incoming,
  limits: HttpLimits,
  signal: AbortSignal,
): Promise<string> {
  const pieces: Uint8Array[] = [];
  let received = 0;
  const enough = new Error('enough');
  const onData = (bytes: Uint8Array): void => {
    pieces.push(bytes);
    received += bytes.length;
    if (received > MAX_ERROR_BODY_BYTES) throw enough;
  };
  try {
    await consume(incoming, limits.silenceMs, onData, () => undefined, signal);
  } catch {
    incoming.body.destroy();
    signal.throwIfAborted();
  }
  const text = Buffer.concat(pieces).toString('utf8', 0, MAX_ERROR_BODY_BYTES);
  const code = errorCode(text);
  if (code === '') return '';
  if (hasSecretOf(incoming.request, code))
    return ' (its explanation repeats a secret of the request)';
  return ` (${shownText(code)})`;
}

/** The code of a registry's JSON or of a store's XML; "" for anything else, such as the page of a proxy. */
function errorCode(text: string): string {
  const xml = /<Code>([^<]{1,100})<\/Code>/.exec(text);
  if (xml) return xml[1] ?? '';
  try {
    const value = JSON.parse(text) as { errors?: { code?: unknown; message?: unknown }[] };
    const first = Array.isArray(value?.errors) ? value.errors[0] : null;
    const words = [first?.code, first?.message].filter((each) => typeof each === 'string');
    return words.join(': ');
  } catch {
    return '';
  }
}

/** Ends when the body has ended, when a callback throws, at the signal, or when 64 KiB take too long. */
function consume(
  { body, host, counters }: Incoming,
  chunkMs: number,
  onData: (bytes: Uint8Array) => void,
  onEnd: () => void,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let isOver = false;
    let sinceTimer = 0;
    const begun = monotonicMs();
    const finish = (settle: () => void): void => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
      body.off('data', data).off('end', end).off('error', fail).off('close', close);
      counters.seconds.body.add((monotonicMs() - begun) / 1000);
      settle();
    };
    const attempt = (work: () => void): boolean => {
      try {
        work();
        return true;
      } catch (error) {
        finish(() => reject(error));
        return false;
      }
    };
    const late = (): void => {
      const what = `is too slow: it took more than ${chunkMs / 1000} s for 64 KiB`;
      finish(() => reject(new Failure('retry', what, { host, counter: 'timeout' })));
    };
    let timer = setTimeout(late, chunkMs);
    const data = (bytes: Uint8Array): void => {
      if (!attempt(() => onData(bytes))) return;
      sinceTimer += bytes.length;
      if (sinceTimer < PROGRESS_BYTES) return;
      sinceTimer %= PROGRESS_BYTES;
      timer.refresh();
    };
    const end = (): void => {
      if (attempt(onEnd)) finish(resolve);
    };
    const fail = (error: Error): void => {
      finish(() => reject(failureOf(error, host)));
    };
    const close = (): void => fail(Object.assign(new Error('closed'), { code: 'ECONNRESET' }));
    const abort = (): void => finish(() => reject(signal.reason as Error));
    body.on('data', data).on('end', end).on('error', fail).on('close', close);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
}
