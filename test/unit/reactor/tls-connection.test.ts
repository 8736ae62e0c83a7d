// A connection inside TLS over a socket pair: its timers, its ends, its memory. The whole daemon: test/e2e/tls.test.ts.
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import t, { type Test } from 'tap';
import { NBD_CMD, NBD_OPT } from '../../../daemon/nbd/constants.js';
import { LargeMemory } from '../../../daemon/nbd/large-memory.js';
import { SendBufferPool } from '../../../daemon/nbd/outbox.js';
import { sockets } from '../../../daemon/native/socket.js';
import { Connection } from '../../../daemon/reactor/connection.js';
import type { Deadlines } from '../../../daemon/reactor/connection-context.js';
import type { ConnectionSummary } from '../../../daemon/reactor/messages.js';
import { SocketStream } from '../../../daemon/reactor/socket-stream.js';
import { TlsAcceptor } from '../../../daemon/reactor/tls-acceptor.js';
import { withLongerLimits } from '../../support/longer-limits.js';
import { clientFlags, infoData, optionBytes, requestBytes } from '../../support/nbd-client.js';
import { withPsk } from '../../support/tls-client.js';
import { FakeExport, bytesAt, tableOf } from '../nbd/fake-export.js';
import { testPeer } from '../../support/test-peer.js';

const KEY = Buffer.alloc(32, 7);
const acceptor = new TlsAcceptor({
  mode: 'require',
  identity: null,
  clientCa: null,
  clientNames: null,
  keys: new Map([['alice', KEY]]),
});
const GO = optionBytes(NBD_OPT.GO, infoData('disk'));
const STARTTLS = optionBytes(NBD_OPT.STARTTLS, Buffer.alloc(0));
/** Two infos and the acknowledgement. */
const GONE = 32 + 34 + 20;

interface Pair {
  connection: Connection;
  /** The client's end. */
  stream: SocketStream;
  closed: ConnectionSummary[];
}

/** A connection whose client has sent NBD_OPT_STARTTLS and received the acknowledgement. */
async function pair(test: Test, deadlines: Partial<Deadlines> = {}): Promise<Pair> {
  const [ours, fd] = sockets.pair();
  const closed: ConnectionSummary[] = [];
  const connection = new Connection(1, ours, testPeer(), {
    exports: tableOf(new FakeExport(1 << 26, 'disk')),
    sendBuffers: new SendBufferPool(),
    largeMemory: new LargeMemory(),
    tls: { mode: 'require', acceptor },
    readFailed: () => undefined,
    requestRefused: () => undefined,
    offered: () => undefined,
    closed: (_connection, summary) => closed.push(summary),
    deadlines: { handshakeMs: 120_000, drainMs: 120_000, ...deadlines },
  });
  connection.start();
  const stream = new SocketStream(fd);
  test.teardown(() => stream.destroy());
  stream.write(Buffer.concat([clientFlags(), STARTTLS]));
  await take(stream, 18 + 20);
  return { connection, stream, closed };
}

async function secure(
  { stream }: Pair,
  options: ConnectionOptions = withPsk('alice', KEY),
): Promise<TLSSocket> {
  const socket = connect({ ...options, socket: stream });
  await once(socket, 'secureConnect');
  socket.on('error', () => undefined); // alerts, in tests that expect them
  return socket;
}

async function inTransmission(test: Test, deadlines?: Partial<Deadlines>) {
  const both = await pair(test, deadlines);
  const socket = await secure(both);
  socket.write(GO);
  await take(socket, GONE);
  return { ...both, socket };
}

/** Receives exactly this many bytes. */
async function take(stream: SocketStream | TLSSocket, length: number): Promise<Buffer> {
  for (;;) {
    const bytes = stream.read(length) as Buffer | null;
    if (bytes?.length === length) return bytes;
    if (bytes || stream.destroyed) throw new Error(`ends before ${length} bytes`);
    await pause(1);
  }
}

/** Waits until the connection has more replies than the client takes. */
async function stalled({ connection: { outbox } }: Pair): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!outbox.blocked && performance.now() < deadline) await pause(5);
}

async function closing({ closed }: Pair, ms = 60_000): Promise<ConnectionSummary> {
  const deadline = performance.now() + ms;
  while (closed.length === 0 && performance.now() < deadline) await pause(5);
  if (closed.length !== 1) throw new Error(`closed ${closed.length} times`);
  return closed[0] as ConnectionSummary;
}

await t.test('a session inside TLS is reported with its peer, export and counts', async (test) => {
  const both = await inTransmission(test);
  both.socket.write(requestBytes({ cookie: 7n, offset: 3, length: 300_000 }));
  both.socket.write(requestBytes({ type: NBD_CMD.DISC }));
  const reply = await take(both.socket, 16 + 300_000);
  test.ok(reply.subarray(16).equals(bytesAt(3, 300_000)));
  both.socket.read();
  await once(both.socket, 'end');
  test.match(await closing(both), {
    name: 'test PSK=alice',
    tls: 'TLSv1.3',
    export: 'disk',
    reason: 'client disconnected',
    requests: 2,
    bytesSent: 18 + 20 + GONE + 16 + 300_000,
  });
});

await t.test(
  'a client that has shut down its sending side of TLS gets its pending replies',
  async (test) => {
    const both = await inTransmission(test);
    const requests = Array.from({ length: 20 }, (_, i) =>
      requestBytes({ cookie: BigInt(i), offset: i, length: 50_000 }),
    );
    both.socket.end(Buffer.concat(requests));
    for (let i = 0; i < 20; i++) {
      const reply = await take(both.socket, 50_016);
      const cookie = Number(reply.readBigUInt64BE(8));
      if (!reply.subarray(16).equals(bytesAt(cookie, 50_000))) test.fail(`reply ${cookie}`);
    }
    test.match(await closing(both), { reason: /client hung up/, requests: 20 });
  },
);

await t.test('a client that stops in the TLS handshake meets the deadline', async (test) => {
  // The first bytes of a ClientHello: a record of 512 bytes, of which only some arrive.
  const hello = Buffer.concat([Buffer.from('160301020001', 'hex'), Buffer.alloc(100)]);
  for (const bytes of [Buffer.alloc(0), hello.subarray(0, 3), hello]) {
    await withLongerLimits(200, async (handshakeMs) => {
      const both = await pair(test, { handshakeMs }).catch(() => null);
      if (both === null) return false;
      if (bytes.length > 0) both.stream.write(bytes);
      test.match(await closing(both), { reason: /handshake took too long/, tls: null });
      return true;
    });
  }
  await withLongerLimits(200, async (handshakeMs) => {
    const slow = await pair(test, { handshakeMs }).catch(() => null);
    const socket = slow && (await secure(slow).catch(() => null));
    if (slow === null || socket === null) return false;
    const { reason, name } = await closing(slow);
    socket.destroy();
    test.match(reason, /handshake took too long/);
    // The client's handshake ends a little before that of the daemon.
    if (name === 'test') return false;
    test.equal(name, 'test PSK=alice');
    return true;
  });
});

await t.test('garbage, half a ClientHello, or a hang-up instead of TLS', async (test) => {
  for (const garbage of [GO, Buffer.alloc(70_000, 0xff), Buffer.from('GET / HTTP/1.1\r\n\r\n')]) {
    const both = await pair(test);
    both.stream.write(garbage);
    test.match(await closing(both), { reason: /^TLS handshake: /, requests: 0, export: null });
  }
  const gone = await pair(test);
  gone.stream.end();
  test.match(await closing(gone), { reason: /hung up/ });
  const half = await pair(test);
  half.stream.end(Buffer.from('16030102000100', 'hex'));
  test.match(await closing(half), { reason: /hung up/ });
  const destroyed = await pair(test);
  destroyed.stream.destroy();
  test.match(await closing(destroyed), { reason: /hung up|errno/ });
});

await t.test('wrong keys, identities, ciphers and certificates are refused', async (test) => {
  for (const options of [
    withPsk('alice', Buffer.alloc(32, 8)),
    withPsk('nobody', KEY),
    { ...withPsk('alice', Buffer.alloc(32, 8)), maxVersion: 'TLSv1.2' },
    { ...withPsk('nobody', KEY), maxVersion: 'TLSv1.2' },
    { ...withPsk('alice', KEY), maxVersion: 'TLSv1.2', ciphers: 'PSK-AES128-GCM-SHA256' },
    { ...withPsk('alice', KEY), maxVersion: 'TLSv1.2', ciphers: 'PSK-NULL-SHA256:@SECLEVEL=0' },
    { rejectUnauthorized: false },
  ] as ConnectionOptions[]) {
    const both = await pair(test);
    await test.rejects(secure(both, options));
    test.match(await closing(both), { reason: /^TLS handshake: /, name: 'test', tls: null });
  }
  const both = await pair(test);
  const socket = await secure(both, { ...withPsk('alice', KEY), maxVersion: 'TLSv1.2' });
  test.equal(socket.getProtocol(), 'TLSv1.2', 'the right key works in TLS 1.2 too');
  socket.end();
  test.match(await closing(both), { name: 'test PSK=alice', tls: 'TLSv1.2', reason: /hung up/ });
});

await t.test('a broken TLS record in transmission closes the connection', async (test) => {
  const both = await inTransmission(test);
  both.stream.write(Buffer.from(`170303002a${'5a'.repeat(42)}`, 'hex'));
  test.match(await closing(both), { reason: /^TLS: .*bad record mac/ });
});

await t.test(
  'a client that does not read uses bounded memory, and gets everything when it reads',
  async (test) => {
    const both = await inTransmission(test);
    const count = 400;
    for (let i = 0; i < count; i++) {
      both.socket.write(requestBytes({ cookie: BigInt(i), offset: i, length: 200_000 }));
    }
    const { outbox } = both.connection;
    await stalled(both);
    await pause(100);
    test.ok(outbox.blocked);
    test.ok(outbox.unsent < 600_000, `${outbox.unsent} unsent`);
    test.ok(outbox.totalSent < 3_000_000, `${outbox.totalSent} with TLS and the system`);
    for (let i = 0; i < count; i++) {
      const reply = await take(both.socket, 16 + 200_000);
      if (reply.readBigUInt64BE(8) !== BigInt(i)) test.fail(`reply ${i}`);
      if (!reply.subarray(16, 2000).equals(bytesAt(i, 1984))) test.fail(`bytes of ${i}`);
    }
    both.connection.close('test');
    await closing(both);
  },
);

await t.test('draining answers accepted requests and ends TLS cleanly', async (test) => {
  const shaking = await pair(test);
  shaking.connection.drain();
  test.match(await closing(shaking), { reason: /stops/ }, 'a handshake is ended at once');

  const busy = await inTransmission(test);
  for (let i = 0; i < 3000; i++) {
    busy.socket.write(requestBytes({ cookie: BigInt(i), offset: i, length: 5000 }));
  }
  await stalled(busy);
  busy.connection.drain();
  await pause(50);
  const parts: Buffer[] = [];
  busy.socket.on('data', (part: Buffer) => parts.push(part));
  await once(busy.socket, 'end'); // of TLS, not only of the socket
  const bytes = Buffer.concat(parts);
  test.equal(bytes.length % 5016, 0, 'replies are whole');
  test.ok(bytes.length >= 5016, `${bytes.length / 5016} replies`);
  busy.socket.end();
  test.match(await closing(busy), { reason: /stops/ });

  const stuck = await inTransmission(test, { drainMs: 200 });
  for (let i = 0; i < 200; i++) stuck.socket.write(requestBytes({ length: 50_000 }));
  await stalled(stuck);
  stuck.connection.drain();
  test.match(await closing(stuck), { reason: /did not take/ });
});

await t.test('NBD_CMD_DISC before the replies are taken: all replies arrive', async (test) => {
  const both = await inTransmission(test);
  for (let i = 0; i < 12; i++) both.socket.write(requestBytes({ offset: i, length: 100_000 }));
  both.socket.write(requestBytes({ type: NBD_CMD.DISC }));
  await pause(200);
  test.same(both.closed, [], 'the connection stays open until the system has all replies');
  for (let i = 0; i < 12; i++) {
    const reply = await take(both.socket, 16 + 100_000);
    if (!reply.subarray(16).equals(bytesAt(i, 100_000))) test.fail(`reply ${i}`);
  }
  test.match(await closing(both), { reason: 'client disconnected' });
});
