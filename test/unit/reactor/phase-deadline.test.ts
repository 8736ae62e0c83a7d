import { test } from 'tap';
import { HANDSHAKE_MS_PER_EXPORT } from '../../../daemon/nbd/limits.js';
import { LINGER_MS } from '../../../daemon/reactor/limits.js';
import { Deadline } from '../../../daemon/reactor/deadline.js';
import { startDeadline } from '../../../daemon/reactor/phase-deadline.js';
import { FakeExport, tableOf } from '../nbd/fake-export.js';

const HOUR = 3_600_000;

function world() {
  const passed: string[] = [];
  const deadline = new Deadline({ totalSent: 0, blocked: true }, (why) => passed.push(why));
  const start = (kind: Parameters<typeof startDeadline>[1], ms: number, hasEnded = false): void =>
    startDeadline(deadline, kind, {
      deadlines: { handshakeMs: ms, drainMs: ms, lingerMs: LINGER_MS },
      exports: tableOf(new FakeExport(1), new FakeExport(1)),
      hasEnded,
    });
  const reason = async (): Promise<string | undefined> => {
    while (passed.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    return passed.shift();
  };
  return { deadline, start, reason };
}

await test('each phase has its deadline and its reason', async (t) => {
  const { deadline, start, reason } = world();
  start('handshake', 1);
  t.equal(await reason(), 'handshake took too long');
  start('last replies', 1);
  t.equal(await reason(), 'client said goodbye and did not take its replies');
  start('last replies', 1, true);
  t.equal(await reason(), 'client hung up and did not take its replies');
  start('drain', 1);
  t.equal(await reason(), 'client did not take its replies before the daemon stopped');
  start('linger', 1);
  t.equal(await reason(), 'daemon stops');
  start('drain', HOUR);
  start(null, 1);
  t.equal(deadline.leftMs, Infinity);
});

await test('the handshake deadline grows with the number of exports', (t) => {
  const { deadline, start } = world();
  start('handshake', HOUR);
  t.ok(deadline.leftMs > HOUR);
  t.ok(deadline.leftMs <= HOUR + 2 * HANDSHAKE_MS_PER_EXPORT);
  deadline.clear();
  t.end();
});

await test('lingering ends with the drain deadline, or earlier', (t) => {
  const { deadline, start } = world();
  start('drain', HOUR);
  start('linger', HOUR);
  t.ok(deadline.leftMs <= LINGER_MS);
  start('drain', LINGER_MS / 10);
  start('linger', HOUR);
  t.ok(deadline.leftMs <= LINGER_MS / 10);
  deadline.clear();
  t.end();
});
