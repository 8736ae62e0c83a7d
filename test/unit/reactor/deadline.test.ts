// A connection's deadlines, and how long a client may take no replies.
import { setTimeout as pause } from 'node:timers/promises';
import { test } from 'tap';
import { PAUSED_AFTER_MS, PAUSED_MS, VANISHED_S } from '../../../daemon/reactor/limits.js';
import { Deadline, StallClock } from '../../../daemon/reactor/deadline.js';
import { monotonicMs } from '../../../daemon/lib/clock.js';

await test('a deadline passes once, and a new one replaces the old', async (t) => {
  const passed: string[] = [];
  const deadline = new Deadline({ totalSent: 0, blocked: true }, (why) => passed.push(why));
  t.equal(deadline.leftMs, Infinity);
  deadline.after(5, 'first');
  deadline.after(10, 'second');
  t.ok(deadline.leftMs <= 10);
  await pause(100);
  t.same(passed, ['second']);
  deadline.after(5, 'third');
  deadline.clear();
  t.equal(deadline.leftMs, Infinity);
  await pause(50);
  t.same(passed, ['second']);
});

await test('a stuck deadline is extended while the client takes bytes', async (t) => {
  const passed: string[] = [];
  const seen = { looks: 0 };
  let isTaking = true;
  const progress = {
    // A later look while the client takes bytes sees more, however late it is.
    get totalSent(): number {
      if (isTaking) seen.looks++;
      return seen.looks;
    },
    blocked: true,
  };
  const deadline = new Deadline(progress, (why) => passed.push(why));
  deadline.whenStuck(20, 'stuck');
  for (let i = 0; i < 12_000 && seen.looks < 8 && passed.length === 0; i++) await pause(10);
  t.same(passed, []);
  t.ok(seen.looks >= 8, `${seen.looks} looks`);
  isTaking = false;
  for (let i = 0; i < 12_000 && passed.length === 0; i++) await pause(10);
  t.same(passed, ['stuck']);
});

await test('a client that pauses is given longer, until it takes bytes again', (t) => {
  const clock = new StallClock();
  const given: number[] = [];
  const look = (later: number): void => {
    clock.look(monotonicMs() + later, (ms) => given.push(ms));
  };
  clock.note({ totalSent: 0, blocked: false });
  look(2 * PAUSED_AFTER_MS);
  t.same(given, [], 'idle is not paused');
  clock.note({ totalSent: 10, blocked: true });
  look(0);
  t.same(given, []);
  look(PAUSED_AFTER_MS + 1000);
  look(PAUSED_AFTER_MS + 1000);
  t.same(given, [PAUSED_MS], 'the longer time was set once');
  clock.note({ totalSent: 20, blocked: true });
  look(0);
  t.same(given, [PAUSED_MS, VANISHED_S * 1000], 'the normal time applies again');
  t.end();
});
