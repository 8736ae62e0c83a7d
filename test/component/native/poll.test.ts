// The addon's class Poll: events, lifetime, scopes, workers. Sockets themselves: socket.test.ts.
import { AsyncLocalStorage } from 'node:async_hooks';
import { openSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import t, { type Test } from 'tap';
import { EBADF, ECONNRESET } from '../../../daemon/lib/errno.js';
import { descriptors } from '../../../daemon/native/descriptors.js';
import { POLL_READABLE, POLL_WRITABLE, Poll } from '../../../daemon/native/poll.js';
import { sockets } from '../../../daemon/native/socket.js';
import { usualOrLong } from '../../support/long-tests.js';
import type { PollScenario } from './poll-worker.js';

const byte = Buffer.alloc(1);

/** A pair that is closed at the end of the test. */
function pair(test: Test): [number, number] {
  const [a, b] = sockets.pair();
  test.teardown(() => {
    descriptors.close(a);
    descriptors.close(b);
  });
  return [a, b];
}

/** Enough turns of the loop to report everything that is ready. */
async function settle(): Promise<void> {
  await turn();
  await turn();
  await turn();
}

await t.test('readable and writable are reported if they are watched', async (test) => {
  const [a, b] = pair(test);
  const seen: number[] = [];
  const poll = new Poll(b, (events) => seen.push(events));
  await settle();
  test.same(seen, [], 'not started');
  test.equal(poll.start(POLL_READABLE), 0);
  await settle();
  test.same(seen, [], 'nothing to read');
  sockets.send(a, byte, 0, 1);
  await settle();
  test.ok(seen.length >= 2 && seen.every((events) => events === POLL_READABLE), 'level-triggered');
  test.equal(poll.start(POLL_READABLE | POLL_WRITABLE), 0);
  seen.length = 0;
  await settle();
  test.ok(seen.length > 0 && seen.every((events) => events === 3));
  test.equal(poll.stop(), 0);
  test.equal(poll.stop(), 0);
  seen.length = 0;
  await settle();
  test.same(seen, [], 'stopped');
  test.equal(poll.start(POLL_WRITABLE), 0, 'it can be started again');
  await settle();
  test.ok(seen.length > 0 && seen.every((events) => events === POLL_WRITABLE));
  test.equal(poll.close(), 0);
});

await t.test('the peer closes', async (test) => {
  const [a, b] = sockets.pair();
  const seen: number[] = [];
  const poll = new Poll(b, (events) => seen.push(events));
  poll.start(POLL_READABLE);
  sockets.shutdown(a);
  await settle();
  test.ok(seen.length > 0 && seen.every((events) => events === POLL_READABLE));
  test.equal(sockets.recv(b, byte, 0, 1), 0);
  poll.close();
  descriptors.close(a);
  descriptors.close(b);
});

await t.test('a socket error is reported as both events, until recv() returns it', async (test) => {
  const [a, b] = sockets.pair();
  const results: number[] = [];
  let events = 0;
  const poll = new Poll(a, (now) => {
    events = now;
    results.push(sockets.recv(a, byte, 0, 1));
    if (results.length === 3) poll.close();
  });
  sockets.send(b, Buffer.from('xy'), 0, 2);
  sockets.send(a, byte, 0, 1);
  descriptors.close(b); // with a byte unread, which resets the connection
  poll.start(POLL_WRITABLE);
  await settle();
  await settle();
  test.equal(events, POLL_READABLE | POLL_WRITABLE);
  // Unix sockets return queued bytes before the reset, or the reset at once, depending on the kernel.
  test.ok(results.includes(-ECONNRESET), results.join());
  test.equal(results.length, 3);
  descriptors.close(a);
});

await t.test('close: repeatedly, inside the callback, without closing the fd', async (test) => {
  const [a, b] = pair(test);
  let calls = 0;
  const poll = new Poll(a, () => {
    calls++;
    test.equal(poll.close(), 0);
    test.equal(poll.close(), 0);
    test.equal(poll.stop(), 0);
    test.equal(poll.start(POLL_WRITABLE), -EBADF);
  });
  poll.start(POLL_WRITABLE);
  await settle();
  test.equal(calls, 1);
  test.equal(poll.close(), 0);
  test.equal(sockets.send(a, byte, 0, 1), 1, 'the descriptor is still open');
  test.equal(sockets.recv(b, byte, 0, 1), 1);
  const next = new Poll(a, () => calls++);
  next.start(POLL_WRITABLE);
  next.close();
  const last = new Poll(a, () => calls++);
  last.start(POLL_WRITABLE);
  await settle();
  last.close();
  test.ok(calls > 1, 'the descriptor can be watched again at once');
});

await t.test('one callback may close other Polls', async (test) => {
  const pairs = Array.from({ length: 8 }, () => pair(test));
  let calls = 0;
  const polls = pairs.map(
    ([fd]) =>
      new Poll(fd, () => {
        calls++;
        for (const poll of polls) poll.close();
      }),
  );
  for (const poll of polls) poll.start(POLL_WRITABLE);
  await settle();
  test.equal(calls, 1);
});

await t.test('ticks and promises run after each callback, in its async context', async (test) => {
  const order: string[] = [];
  const storage = new AsyncLocalStorage<string>();
  for (const name of ['first', 'second']) {
    const [fd] = pair(test);
    const poll = storage.run(name, () => {
      return new Poll(fd, () => {
        poll.close();
        order.push(`${storage.getStore()} call`);
        process.nextTick(() => order.push(`${storage.getStore()} tick`));
        void Promise.resolve().then(() => order.push(`${storage.getStore()} promise`));
      });
    });
    poll.start(POLL_WRITABLE);
  }
  await settle();
  const [one, two] = order[0] === 'first call' ? ['first', 'second'] : ['second', 'first'];
  const expected = [one, two].flatMap((name) =>
    ['call', 'tick', 'promise'].map((w) => `${name} ${w}`),
  );
  test.same(order, expected);
});

await t.test('wrong arguments are refused', async (test) => {
  const [a] = pair(test);
  const Loose = Poll as new (...args: unknown[]) => { start(events: unknown): number };
  const call = Poll as unknown as (...args: unknown[]) => void;
  test.throws(() => new Loose(), TypeError);
  test.throws(() => new Loose('1', () => {}), TypeError);
  test.throws(() => new Loose(-1, () => {}), RangeError);
  test.throws(() => new Loose(a), TypeError);
  test.throws(() => new Loose(a, {}), TypeError);
  test.throws(() => call(a, () => {}), TypeError);
  const poll = new Loose(a, () => {});
  for (const events of [0, 8, -1, 1.5, NaN]) test.throws(() => poll.start(events), RangeError);
  test.throws(() => poll.start('1'), TypeError);
  for (const receiver of [{}, undefined, Object.create(Poll.prototype), new Map()]) {
    test.throws(() => Poll.prototype.start.call(receiver as never, 1), TypeError);
    test.throws(() => Poll.prototype.stop.call(receiver as never), TypeError);
    test.throws(() => Poll.prototype.close.call(receiver as never), TypeError);
  }
  test.throws(() => new Poll(1_000_000, () => {}), { code: 'EBADF' });
  const file = openSync(process.execPath, 'r');
  test.throws(() => new Poll(file, () => {}), { code: 'EPERM' });
  descriptors.close(file);
});

await t.test('only one Poll at a time can be started on a descriptor', async (test) => {
  const [a] = pair(test);
  const poll = new Poll(a, () => {});
  poll.start(POLL_READABLE);
  test.throws(() => new Poll(a, () => {}), { code: 'EEXIST' });
  poll.close();
  const [c, d] = sockets.pair();
  const orphan = new Poll(c, () => {});
  descriptors.close(c);
  descriptors.close(d);
  test.equal(orphan.start(POLL_READABLE), -EBADF, 'the descriptor was closed under the Poll');
  orphan.close();
});

await t.test('unreachable Polls are collected, started ones are not', async (test) => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const [a, b] = pair(test);
  const fired = new Promise<number>((resolve) => {
    // This one is unreachable, but started.
    new Poll(b, function (events) {
      this.close();
      resolve(events);
    }).start(POLL_READABLE);
  });
  const gone: WeakRef<object>[] = [];
  for (let i = 0; i < 100; i++) gone.push(new WeakRef(new Poll(a, () => {})));
  for (let i = 0; i < 3; i++) {
    // oxlint-disable-next-line no-await-in-loop
    await settle();
    collect();
  }
  await settle();
  test.ok(
    gone.filter((poll) => poll.deref() === undefined).length > 90,
    'unreachable ones are collected',
  );
  sockets.send(a, byte, 0, 1);
  test.equal(await fired, POLL_READABLE);
});

interface Ending {
  readonly code: number;
  readonly messages: unknown[];
  readonly error: unknown;
}

/** Runs a scenario of poll-worker.ts; `terminate` ends it as soon as it reports that it is ready. */
async function run(name: PollScenario['name'], fds: number[], terminate = false): Promise<Ending> {
  const workerData: PollScenario = { name, fds };
  // Without execArgv it would load tap's hooks, which take a second each time.
  const url = new URL('poll-worker.js', import.meta.url);
  const worker = new Worker(url, { workerData, execArgv: [] });
  const messages: unknown[] = [];
  let error: unknown;
  worker.on('message', (message) => {
    messages.push(message);
    if (terminate) void worker.terminate();
  });
  worker.on('error', (thrown) => (error = thrown));
  // Not events.once, which would reject on 'error'.
  const code = await new Promise<number>((resolve) => worker.on('exit', resolve));
  return { code, messages, error };
}

await t.test('a worker is terminated with live Polls, many times', async (test) => {
  const fds = Array.from({ length: 6 }, () => pair(test)).flat();
  for (let i = 0; i < usualOrLong(8, 20); i++) {
    // oxlint-disable-next-line no-await-in-loop
    const { code, messages } = await run('busy', fds, true);
    test.equal(code, 1);
    test.same(messages, ['ready']);
  }
});

await t.test('how a worker with Polls ends', async (test) => {
  const [a] = pair(test);
  test.equal((await run('idle', [a], true)).code, 1, 'terminated while waiting');
  test.equal((await run('stopped', [a])).code, 0, 'a stopped Poll does not keep the loop alive');
  test.equal((await run('exit-in-callback', [a])).code, 7);
  const thrown = await run('throw', [a]);
  test.equal(thrown.code, 1);
  test.match(thrown.error, { message: 'out of the callback' });
  const caught = await run('throw-caught', [a]);
  test.equal(caught.code, 0);
  test.same(caught.messages, ['call 1', 'call 2', 'call 3'], 'the loop goes on');
});
