// The end of the daemon by SIGTERM with idle, busy, stuck and half-connected clients.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { DRAIN_TIMEOUT_MS } from '../../daemon/reactor/limits.js';
import { DaemonProcess, shortFolder } from '../support/daemon-process.js';
import { writeRaw } from '../support/e2e-images.js';
import { RawNbdClient, requestBytes, tick } from '../support/nbd-client.js';

t.setTimeout(900_000);

const MIB = 1 << 20;
const SIZE = 40 * MIB;
const folder = shortFolder(t);
const image = join(folder, 'raw.img');
const raw = writeRaw(image, 9, SIZE);
const listen = ['tcp://127.0.0.1:0'];
const PIECE = 60_000;

/** The log line of a deadline that has passed. */
const NOT_IN_TIME = /did not (end|take)/;

/** Stuck clients keep their daemon until the deadline: it ends while the other tests run. */
const stuckDaemon = await DaemonProcess.start(t, [image], { listen });
const stuckClients = await Promise.all(
  [stuckDaemon.unix, stuckDaemon.tcp, stuckDaemon.unix].map((to) => RawNbdClient.open(to)),
);
for (const [i, client] of stuckClients.entries()) {
  const requests = Array.from({ length: 2000 }, () => requestBytes({ length: PIECE }));
  client.send(i < 2 ? Buffer.concat(requests) : requestBytes({ length: 32 * MIB }));
}
await tick(300);
const stuckBegin = performance.now();
const stuckEnd = stuckDaemon
  .exited()
  .then((code) => ({ code, took: performance.now() - stuckBegin }));
stuckDaemon.child.kill('SIGTERM');

await t.test('SIGTERM during a big copy: whole replies, and a clean end', async (test) => {
  const daemon = await DaemonProcess.start(test, [image], { listen });
  const count = 3000;
  const requests = Array.from({ length: count }, (_, i) =>
    requestBytes({ cookie: BigInt(i), offset: i * 1000, length: PIECE }),
  );
  const clients = await Promise.all([daemon.unix, daemon.tcp].map((to) => RawNbdClient.open(to)));
  for (const client of clients) client.send(Buffer.concat(requests));
  for (const { socket } of clients) {
    for (let tries = 0; socket.bytesRead < 4 * (PIECE + 16) && tries < 3000; tries++)
      await tick(10);
  }
  const stopped = daemon.stop(test);
  // Late enough for the kernel's buffers to be full at the end.
  await tick(200);
  const copies = clients.map(async (client) => {
    const stream = await client.takeRest();
    client.destroy();
    return { stream, how: await client.ended() };
  });
  for (const copy of copies) {
    const { stream, how } = await copy;
    test.equal(how, 'end', 'not a reset');
    test.equal(stream.length % (PIECE + 16), 0, 'whole replies only');
    const answered = stream.length / (PIECE + 16);
    test.ok(answered >= 4 && answered < count, `${answered} of ${count} requests answered`);
    // The daemon takes requests in order and answers all that it has taken, but in any order.
    const unanswered = new Set(Array.from({ length: answered }, (_, i) => i));
    for (let at = 0; at < stream.length; at += PIECE + 16) {
      const cookie = Number(stream.readBigUInt64BE(at + 8));
      if (!unanswered.delete(cookie)) test.fail(`cookie ${cookie}`);
      const data = stream.subarray(at + 16, at + 16 + PIECE);
      const begin = cookie * 1000;
      if (!data.equals(raw.subarray(begin, begin + PIECE))) test.fail(`data of cookie ${cookie}`);
    }
    test.equal(unanswered.size, 0, 'no request before these is without a reply');
  }
  await stopped;
  test.same(
    daemon.lines(/did not take/),
    [],
    'the daemon ends as soon as the clients have everything',
  );
});

await t.test('SIGTERM during a long read: it is answered', async (test) => {
  const daemon = await DaemonProcess.start(test, [image], { listen });
  const client = await RawNbdClient.open(daemon.tcp);
  const requests = [
    requestBytes({ cookie: 1n, offset: 5, length: 32 * MIB }),
    requestBytes({ cookie: 2n, offset: 6, length: 32 * MIB }),
  ];
  client.send(Buffer.concat(requests));
  await tick(100);
  const stopped = daemon.stop(test);
  const unanswered = new Map([
    [1n, 5],
    [2n, 6],
  ]);
  while (unanswered.size > 0) {
    const { error, cookie } = await client.reply();
    const offset = unanswered.get(cookie);
    if (error !== 0 || offset === undefined) throw new Error(`cookie ${cookie}: error ${error}`);
    const data = await client.take(32 * MIB);
    test.ok(data.equals(raw.subarray(offset, offset + 32 * MIB)));
    unanswered.delete(cookie);
  }
  test.equal(await client.ended(), 'end');
  client.destroy();
  await stopped;
  test.same(daemon.lines(/did not take/), []);
});

await t.test('idle and half-connected clients do not delay the end', async (test) => {
  const daemon = await DaemonProcess.start(test, [image], { listen });
  const idle = await Promise.all([daemon.unix, daemon.tcp].map((to) => RawNbdClient.open(to)));
  const half = await Promise.all([daemon.unix, daemon.tcp].map((to) => RawNbdClient.connect(to)));
  for (const client of half) await client.greeting();
  idle[0]?.send(requestBytes({ length: 10 }).subarray(0, 20));
  await tick(50);
  await daemon.stop(test);
  test.notMatch(daemon.log, NOT_IN_TIME);
  for (const client of [...idle, ...half]) {
    test.match(await client.ended(), /end|reset/);
    client.destroy();
  }
  test.match(daemon.log, /stopped\n$/, 'the last line is written');
});

await t.test('the end without clients, by SIGINT, and during the start', async (test) => {
  const quiet = await DaemonProcess.start(test, [image]);
  await quiet.stop(test);
  test.notMatch(quiet.log, NOT_IN_TIME);
  const interrupted = await DaemonProcess.start(test, [image]);
  interrupted.child.kill('SIGINT');
  test.equal(await interrupted.exited(), 0);
});

await t.test('clients that never read delay the end until the deadline', async (test) => {
  const { code, took } = await stuckEnd;
  test.equal(code, 0);
  test.ok(took > DRAIN_TIMEOUT_MS - 1000, `they were given time (${Math.round(took)} ms)`);
  test.ok(took < 6 * DRAIN_TIMEOUT_MS, 'but not more');
  test.equal(stuckDaemon.lines(/did not take its replies/).length, 3);
  test.notMatch(stuckDaemon.log, /\bBUG\b/);
  test.notOk(existsSync(stuckDaemon.socketPath));
  for (const client of stuckClients) client.destroy();
});
