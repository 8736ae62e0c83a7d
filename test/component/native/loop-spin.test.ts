// The looks of a thread for events before it sleeps: that they change nothing but time, and when there are none.
import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import t, { type Test } from 'tap';
import { EAGAIN } from '../../../daemon/lib/errno.js';
import { MAX_SPIN_US } from '../../../daemon/config/spin.js';
import { descriptors } from '../../../daemon/native/descriptors.js';
import {
  POLL_READABLE,
  POLL_WRITABLE,
  Poll,
  skipSpin,
  spin,
  spinCounts,
} from '../../../daemon/native/poll.js';
import { sockets } from '../../../daemon/native/socket.js';

/** Sends a byte back and forth between two Polls of this thread. Resolves with the bytes received. */
function pingPong(test: Test, turns: number): Promise<number[]> {
  const [a, b] = sockets.pair();
  const bytes = Buffer.alloc(1);
  const received: number[] = [];
  return new Promise((resolve) => {
    const polls = [a, b].map(
      (fd) =>
        new Poll(fd, () => {
          const n = sockets.recv(fd, bytes, 0, 1);
          if (n === -EAGAIN) return;
          received.push(bytes[0] as number);
          if (received.length < turns) {
            bytes[0] = received.length & 0xff;
            sockets.send(fd, bytes, 0, 1);
            return;
          }
          for (const each of polls) each.close();
          resolve(received);
        }),
    );
    for (const each of polls) each.start(POLL_READABLE);
    test.teardown(() => {
      for (const each of polls) each.close();
      for (const fd of [a, b]) descriptors.close(fd);
    });
    bytes[0] = 0;
    sockets.send(a, bytes, 0, 1);
  });
}

/**
 * Plays ping-pong with another thread.
 * @param onByte called after each byte that came back; returns whether the next one is sent
 */
async function withEcho(onByte: (count: number, poll: Poll) => boolean): Promise<void> {
  const [near, far] = sockets.pair();
  const worker = new Worker(new URL('loop-spin-worker.js', import.meta.url), {
    workerData: far,
    execArgv: [],
  });
  await once(worker, 'online');
  const bytes = Buffer.alloc(1);
  let count = 0;
  await new Promise<void>((resolve) => {
    const poll = new Poll(near, () => {
      if (sockets.recv(near, bytes, 0, 1) !== 1) return;
      if (onByte(++count, poll)) {
        sockets.send(near, bytes, 0, 1);
        return;
      }
      poll.close();
      resolve();
    });
    poll.start(POLL_READABLE);
    sockets.send(near, bytes, 0, 1);
  });
  sockets.shutdown(near);
  await once(worker, 'exit');
  for (const fd of [near, far]) descriptors.close(fd);
}

const turnsOfLoop = (): number => performance.nodeTiming.uvMetricsInfo.loopCount;

const MOST_ATTEMPTS = 50;
/** If other programs keep all cores busy after so many, they are taken to go on. */
const ATTEMPTS_IF_CROWDED = 8;

/** Repeats `attempt` while it returns false, because other programs may keep all cores busy for a while. */
async function unlessCrowded(test: Test, what: string, attempt: () => Promise<boolean>) {
  for (let count = 1; ; count++) {
    // oxlint-disable-next-line no-await-in-loop
    if (await attempt()) {
      test.pass(what);
      return;
    }
    if (count >= ATTEMPTS_IF_CROWDED && isCrowded()) {
      test.pass(`NOT TESTED: all cores are busy: ${what}`, { skip: true });
      return;
    }
    if (count >= MOST_ATTEMPTS) {
      test.fail(what);
      return;
    }
    // oxlint-disable-next-line no-await-in-loop
    await pause(20);
  }
}

const expected = Array.from({ length: 2000 }, (_, i) => i & 0xff);
/** Whether more threads want to run than there are cores: then no looks are made. */
const isCrowded = (): boolean => {
  const [, running] = / ([0-9]+)\//.exec(readFileSync('/proc/loadavg', 'utf8')) ?? [];
  return Number(running) > availableParallelism();
};

t.teardown(() => void spin(0));

await t.test('there are none before they are asked for', async (test) => {
  test.same(await pingPong(test, 2000), expected);
  test.same(spinCounts(), { looks: 0, found: 0, nanoseconds: 0 });
});

await t.test('they find events, and change nothing else', async (test) => {
  test.equal(spin(50), 0);
  // Other tests may keep all cores busy; then there is nothing to see, and the bytes are right all the same.
  await unlessCrowded(test, 'looks find something', async () => {
    test.same(await pingPong(test, 2000), expected);
    return spinCounts().found > 0;
  });
  const { looks, found, nanoseconds } = spinCounts();
  const text = `${found} of ${looks} looks found something`;
  test.ok(looks >= found && (found === 0 || nanoseconds > 0), text);
});

await t.test(
  'the source of the last event has its next ones within one turn of the loop',
  async (test) => {
    test.equal(spin(MAX_SPIN_US), 0);
    await unlessCrowded(test, 'fewer turns than events', async () => {
      let first = 0;
      let saved = 0;
      await withEcho((count) => {
        if (count === 1) first = turnsOfLoop();
        saved = count - 1 - (turnsOfLoop() - first);
        return saved < 10 && count < 1000;
      });
      return saved >= 10;
    });
  },
);

await t.test('timers, immediates and other sockets have their turn meanwhile', async (test) => {
  const [a, b] = sockets.pair();
  const byte = Buffer.alloc(1);
  let others = 0;
  const other = new Poll(b, () => {
    sockets.recv(b, byte, 0, 1);
    others++;
  });
  other.start(POLL_READABLE);
  let ticks = 0;
  const timer = setInterval(() => void ticks++, 1);
  let immediates = 0;
  let sent = 0;
  await withEcho((count) => {
    if (count % 100 === 0) {
      sent++;
      sockets.send(a, byte, 0, 1);
      setImmediate(() => void immediates++);
    }
    return ticks < 20 || others < 20 || immediates < 20;
  });
  clearInterval(timer);
  other.close();
  for (const fd of [a, b]) descriptors.close(fd);
  test.ok(others <= sent, `${others} events of ${sent} bytes, ${ticks} ticks`);
});

await t.test(
  'a callback may stop, start, close and change what it wants at any time',
  async (test) => {
    let calls = 0;
    await withEcho((count, poll) => {
      calls = count;
      if (count % 7 === 0) {
        poll.stop();
        setImmediate(() => void poll.start(POLL_READABLE));
      }
      if (count % 11 === 0) {
        poll.start(POLL_READABLE | POLL_WRITABLE);
        poll.start(POLL_READABLE);
      }
      if (count % 13 === 0) {
        spin(0);
        spin(MAX_SPIN_US);
      }
      if (count % 17 === 0) skipSpin();
      return count < 4000;
    });
    test.equal(calls, 4000);
  },
);

await t.test('an idle loop makes none', async (test) => {
  const before = spinCounts();
  for (let i = 0; i < 20; i++) {
    // oxlint-disable-next-line no-await-in-loop
    await pause(5); // timers are no events of sockets
  }
  test.ok(spinCounts().looks - before.looks <= 1, 'at most the one after the last event');
});

await t.test('there is none after an event that is said to need none', async (test) => {
  const [a, b] = sockets.pair();
  const before = spinCounts();
  let calls = 0;
  await new Promise<void>((resolve) => {
    const poll = new Poll(b, () => {
      skipSpin();
      if (++calls < 500) return;
      poll.close();
      resolve();
    });
    poll.start(POLL_READABLE);
    sockets.send(a, Buffer.of(1), 0, 1); // stays unread, so that there are events all the time
  });
  for (const fd of [a, b]) descriptors.close(fd);
  test.same(spinCounts(), before);
});

await t.test('they can be ended, and asked for again', async (test) => {
  test.equal(spin(0), 0);
  const before = spinCounts();
  test.same(await pingPong(test, 2000), expected);
  test.same(spinCounts(), before);
  test.equal(spin(MAX_SPIN_US), 0);
  test.same(await pingPong(test, 2000), expected);
  test.throws(() => spin(MAX_SPIN_US + 1), /microseconds/);
});
