// Trying again: order, pauses, what ends it.
import { test } from 'tap';
import { monotonicMs } from '../../../../daemon/lib/clock.js';
import { Breaker } from '../../../../daemon/registry/http/breaker.js';
import type { Endpoint } from '../../../../daemon/registry/http/endpoint.js';
import {
  Failure,
  type FailureFacts,
  type FailureKind,
} from '../../../../daemon/registry/http/failure.js';
import { DEFAULT_LIMITS } from '../../../../daemon/registry/http/limits.js';
import { Effort, inRounds } from '../../../../daemon/registry/http/rounds.js';

const limits = {
  ...DEFAULT_LIMITS,
  backoffFirstMs: 1,
  backoffMostMs: 2,
  attempts: 4,
  probeFirstMs: 1,
  probeMostMs: 2,
};
const [ONE, TWO] = [{ host: 'one' }, { host: 'two' }] as [Endpoint, Endpoint];
const fails = (kind: FailureKind, host: string, facts: Partial<FailureFacts> = {}): Failure =>
  new Failure(kind, 'fails', { host, ...facts });

/** @param outcomes in order: a Failure is thrown, anything else is the result */
async function run(outcomes: unknown[], breakers = new Map<Endpoint, Breaker>()) {
  const asked: string[] = [];
  const effort = new Effort();
  const breakerOf = (endpoint: Endpoint): Breaker => {
    let breaker = breakers.get(endpoint);
    if (!breaker) breakers.set(endpoint, (breaker = new Breaker(limits, monotonicMs)));
    return breaker;
  };
  const attempt = async (endpoint: Endpoint): Promise<unknown> => {
    await Promise.resolve();
    asked.push(endpoint.host);
    const outcome = outcomes.shift();
    if (outcome instanceof Failure) throw outcome;
    return outcome;
  };
  const options = {
    isFinal: ({ kind }: Failure) => kind !== 'retry',
    remainingMs: () => 5000,
    signal: new AbortController().signal,
  };
  const parts = { limits, random: () => 0.5, breakerOf };
  const result = await inRounds(parts, [ONE, TWO], attempt, effort, options).catch(
    (error: unknown) => error,
  );
  return { asked: asked.join(' '), result, effort };
}

await test('the order, and failures that are final', async (t) => {
  t.match(await run(['right']), { asked: 'one', result: 'right', effort: { attempts: 1 } });
  t.match(await run([fails('bad', 'one'), 5]), { asked: 'one two', result: 5 });
  t.match(await run([fails('retry', 'one'), fails('retry', 'two'), 5]), {
    asked: 'one two one',
    result: 5,
  });
  t.match(await run([fails('gone', 'one'), fails('retry', 'two'), 5]), {
    asked: 'one two two',
    result: 5,
  });
  t.match(await run([fails('auth', 'one'), fails('gone', 'two')]), { result: { kind: 'gone' } });
});

await test('a limit of attempts', async (t) => {
  const all = Array.from({ length: 9 }, () => fails('retry', 'x'));
  t.match(await run(all), { result: { kind: 'retry' }, effort: { attempts: 4 } });
});

await test('a time to wait that is too long ends it, unless another host may have it', async (t) => {
  const late = (host: string): Failure => fails('retry', host, { retryAfterMs: 60_000 });
  t.match(await run([late('one'), late('two'), 5]), { asked: 'one two', result: { host: 'two' } });
  t.match(await run([late('one'), fails('retry', 'two'), 5]), { asked: 'one two one', result: 5 });
});

await test('an open breaker: others are asked; if all are open, there is a wait', async (t) => {
  const closed = new Breaker(limits, () => 0);
  const open = new Breaker({ ...limits, breakerFailures: 1 }, () => 0);
  open.enter()?.failed();
  t.match(
    await run(
      [5],
      new Map([
        [ONE, open],
        [TWO, closed],
      ]),
    ),
    { asked: 'two', result: 5 },
  );
  const soon = new Breaker({ ...limits, breakerFailures: 1 }, monotonicMs);
  soon.enter()?.failed();
  t.match(
    await run(
      [5],
      new Map([
        [ONE, open],
        [TWO, soon],
      ]),
    ),
    { asked: 'two', result: 5 },
  );
  const shared = new Breaker({ ...limits, breakerFailures: 1, probeFirstMs: 60_000 }, () => 0);
  // A request that was under way when the breaker opened.
  const early = shared.enter();
  shared.enter()?.failed();
  const waiting = run(
    [5],
    new Map([
      [ONE, shared],
      [TWO, shared],
    ]),
  );
  setTimeout(() => early?.succeeded(), 5);
  t.match(await waiting, { asked: 'one', result: 5 });
});

const buggy = (): Promise<never> => Promise.reject(new TypeError('a bug'));

await test('something else than a Failure ends it', async (t) => {
  const parts = { limits, random: () => 0, breakerOf: () => new Breaker(limits, () => 0) };
  const options = {
    isFinal: ({ kind }: Failure) => kind !== 'retry',
    remainingMs: () => 5,
    signal: new AbortController().signal,
  };
  await t.rejects(inRounds(parts, [ONE], buggy, new Effort(), options), TypeError);
});
