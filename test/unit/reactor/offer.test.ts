// A connection that moves from one reactor to another with its socket: at rest, in the middle of a request, and
// connections that cannot move. Between two processes: test/e2e/upgrade.test.ts.
import { setTimeout as pause } from 'node:timers/promises';
import { test, type Test } from 'tap';
import { NBD_CMD, NBD_INFO, NBD_OPT } from '../../../daemon/nbd/constants.js';
import { LargeMemory } from '../../../daemon/nbd/large-memory.js';
import { SendBufferPool } from '../../../daemon/nbd/outbox.js';
import { EAGAIN } from '../../../daemon/lib/errno.js';
import { descriptors } from '../../../daemon/native/descriptors.js';
import { sockets } from '../../../daemon/native/socket.js';
import { Connection } from '../../../daemon/reactor/connection.js';
import type { ConnectionSummary, ResumedTransmission } from '../../../daemon/reactor/messages.js';
import { clientFlags, infoData, optionBytes, requestBytes } from '../../support/nbd-client.js';
import { FakeExport, bytesAt, tableOf } from '../nbd/fake-export.js';
import { testPeer } from '../../support/test-peer.js';
import { until } from '../../support/until.js';
import { deferred } from '../../support/deferred.js';

const [MIB, EPERM, EINVAL] = [1 << 20, 1, 22];
const SIZE = 40 * MIB;
const GO = Buffer.concat([clientFlags(), optionBytes(NBD_OPT.GO, infoData('x', []))]);
/** Greeting, two infos, the acknowledgement. */
const GONE = 18 + 32 + 34 + 20;

interface Offered {
  fd: number;
  transmission: ResumedTransmission;
}

class Host {
  readonly fake: FakeExport;
  readonly offered: Offered[] = [];
  readonly closed: ConnectionSummary[] = [];
  readonly connection: Connection;
  #isOffering = false;

  constructor(fd: number, size = SIZE) {
    this.fake = new FakeExport(size, 'x');
    this.connection = new Connection(1, fd, testPeer(), {
      exports: tableOf(this.fake),
      sendBuffers: new SendBufferPool(),
      largeMemory: new LargeMemory(),
      readFailed: () => undefined,
      requestRefused: () => undefined,
      offered: (_connection, socket, transmission) => {
        this.offered.push({ fd: socket, transmission });
      },
      closed: (_connection, summary) => this.closed.push(summary),
      isOffering: () => this.#isOffering,
      deadlines: { handshakeMs: 120_000, drainMs: 120_000 },
    });
  }

  offer(isOffering = true): void {
    this.#isOffering = isOffering;
    this.connection.offer();
  }

  resume({ transmission }: Offered): void {
    this.connection.resume(this.fake, transmission);
  }
}

class Client {
  readonly fd: number;

  constructor(fd: number) {
    this.fd = fd;
  }

  async say(bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const n = sockets.send(this.fd, bytes, at, bytes.length - at);
      if (n > 0) at += n;
      else if (n === -EAGAIN) await pause(1);
      else throw new Error(`send: errno ${-n}`);
    }
  }

  async hear(length: number): Promise<Buffer> {
    const bytes = Buffer.alloc(length);
    const end = performance.now() + 120_000;
    for (let at = 0; at < length;) {
      const n = sockets.recv(this.fd, bytes, at, length - at);
      if (n > 0) at += n;
      else if (n !== -EAGAIN) throw new Error(`the end (${n}) after ${at} of ${length} bytes`);
      else if (performance.now() > end) throw new Error(`${at} of ${length} bytes came`);
      else await pause(1);
    }
    return bytes;
  }

  async reply(cookie: bigint, error = 0): Promise<void> {
    const head = await this.hear(16);
    const got = [head.readUInt32BE(0), head.readUInt32BE(4), head.readBigUInt64BE(8)];
    if (got.join() !== [0x67446698, error, cookie].join()) throw new Error(`reply ${got.join()}`);
  }

  /** Nothing is on its way. */
  async isQuiet(): Promise<boolean> {
    await pause(30);
    return sockets.recv(this.fd, Buffer.alloc(1), 0, 1) === -EAGAIN;
  }
}

async function begin(t: Test): Promise<{ host: Host; client: Client }> {
  const [ours, fd] = sockets.pair();
  t.teardown(() => descriptors.close(fd));
  const host = new Host(ours);
  t.teardown(() => host.connection.close('test'));
  host.connection.start();
  const client = new Client(fd);
  await client.say(GO);
  await client.hear(GONE);
  return { host, client };
}

/** @returns the connection's next host, which owns it when this returns */
async function move(t: Test, from: Host): Promise<Host> {
  await until(() => from.offered.length === 1);
  const [offered] = from.offered;
  if (!offered) throw new Error('not offered');
  const next = new Host(offered.fd);
  t.teardown(() => next.connection.close('test'));
  next.resume(offered);
  return next;
}

await test('a connection at rest moves', async (t) => {
  const { host, client } = await begin(t);
  await client.say(requestBytes({ cookie: 1n, offset: 5, length: 100 }));
  await client.reply(1n);
  await client.hear(100);
  host.offer();
  t.match(host.offered, [
    {
      transmission: { export: 'x', form: 'simple', contexts: [], skip: 0, received: { length: 0 } },
    },
  ]);
  t.same(host.closed, [], 'the connection is not reported as closed');
  const next = await move(t, host);
  await client.say(requestBytes({ cookie: 2n, offset: 50, length: 4000 }));
  await client.reply(2n);
  t.ok((await client.hear(4000)).equals(bytesAt(50, 4000)));
  await client.say(requestBytes({ type: NBD_CMD.DISC }));
  await until(() => next.closed.length === 1);
  t.match(next.closed, [{ reason: 'client disconnected', requests: 2 }]);
  host.offer();
  host.connection.drain();
  host.connection.close('too late');
  t.equal(host.offered.length, 1);
  t.same(host.closed, [], 'the old host does not report it as closed');
});

await test('half a received request moves, wherever it is cut', async (t) => {
  const request = requestBytes({ cookie: 9n, offset: 123, length: 77 });
  for (const cut of [1, 4, 16, 27]) {
    const { host, client } = await begin(t);
    await client.say(request.subarray(0, cut));
    await pause(20);
    host.offer();
    const next = await move(t, host);
    t.same(host.offered[0]?.transmission.received, Uint8Array.from(request.subarray(0, cut)));
    await client.say(request.subarray(cut));
    await client.reply(9n);
    t.ok((await client.hear(77)).equals(bytesAt(123, 77)), `cut at ${cut}`);
    next.connection.close('test');
  }
});

await test('a connection in the middle of a refused payload moves', async (t) => {
  const { host, client } = await begin(t);
  await client.say(requestBytes({ type: NBD_CMD.WRITE, cookie: 3n, length: 50_000 }));
  await client.say(Buffer.alloc(20_000, 0x25));
  t.ok(await client.isQuiet(), 'there is no answer before the whole payload has arrived');
  host.offer();
  const next = await move(t, host);
  t.equal(host.offered[0]?.transmission.skip, 30_000);
  await client.say(Buffer.alloc(30_000, 0x25));
  await client.reply(3n, EPERM);
  await client.say(requestBytes({ cookie: 4n, offset: 7, length: 10 }));
  await client.reply(4n);
  t.ok((await client.hear(10)).equals(bytesAt(7, 10)));
  t.equal(next.connection.counts.requests, 2);
  t.equal(host.connection.counts.requests, 0, 'the request counts where it is answered');
});

await test('the size that the client knows moves with the connection', async (t) => {
  const { host, client } = await begin(t);
  await client.say(requestBytes({ cookie: 1n, offset: 5, length: 100 }));
  await client.reply(1n);
  await client.hear(100);
  host.offer();
  t.equal(host.offered[0]?.transmission.size, SIZE);
  // Meanwhile the image has become a little shorter: for this client it still has the old size.
  const [offered] = host.offered as [Offered];
  const next = new Host(offered.fd, SIZE - 100);
  t.teardown(() => next.connection.close('test'));
  next.resume(offered);
  await client.say(requestBytes({ cookie: 2n, offset: SIZE - 200, length: 200 }));
  await client.reply(2n);
  t.ok((await client.hear(100)).equals(bytesAt(SIZE - 200, 100)));
  t.ok((await client.hear(100)).equals(Buffer.alloc(100)), 'zeros fill its last block');
  await client.say(requestBytes({ cookie: 3n, offset: SIZE - 1, length: 2 }));
  await client.reply(3n, EINVAL);
});

await test('a payload whose request an older daemon has answered already is skipped', async (t) => {
  const [ours, fd] = sockets.pair();
  t.teardown(() => descriptors.close(fd));
  const host = new Host(ours);
  t.teardown(() => host.connection.close('test'));
  host.resume({
    fd: ours,
    transmission: {
      export: 'x',
      form: 'simple',
      contexts: [],
      skip: 100,
      received: Buffer.alloc(40),
    },
  });
  const client = new Client(fd);
  await client.say(Buffer.alloc(60));
  await client.say(requestBytes({ cookie: 4n, offset: 7, length: 10 }));
  await client.reply(4n);
  t.ok((await client.hear(10)).equals(bytesAt(7, 10)));
});

await test('a long read is answered first, and requests after it by the next reactor', async (t) => {
  const { host, client } = await begin(t);
  const length = 32 * MIB;
  await client.say(requestBytes({ cookie: 5n, offset: 11, length }));
  await until(() => host.fake.reads.length > 0);
  host.offer();
  await client.say(requestBytes({ cookie: 6n, offset: 3, length: 30 }));
  await pause(30);
  t.equal(host.offered.length, 0, 'the connection does not move while replies are unsent');
  await client.reply(5n);
  t.ok((await client.hear(length)).equals(bytesAt(11, length)));
  t.ok(await client.isQuiet(), 'no new request is accepted');
  await move(t, host);
  await client.reply(6n);
  t.ok((await client.hear(30)).equals(bytesAt(3, 30)));
});

await test('reads that wait for a disk are answered before the connection moves', async (t) => {
  const { host, client } = await begin(t);
  const wait = deferred();
  host.fake.onRead = ({ offset, loaded }) => offset !== 1000 || loaded;
  host.fake.onLoad = () => wait.promise;
  await client.say(requestBytes({ cookie: 1n, offset: 1000, length: 10 }));
  await client.say(requestBytes({ cookie: 2n, offset: 2000, length: 10 }));
  await client.reply(2n);
  await client.hear(10);
  host.offer();
  await pause(20);
  t.equal(host.offered.length, 0);
  wait.resolve();
  await client.reply(1n);
  t.ok((await client.hear(10)).equals(bytesAt(1000, 10)));
  await move(t, host);
});

await test('reads that wait for a network move with their connection', async (t) => {
  const { host, client } = await begin(t);
  host.fake.onEnsure = (offset) => (offset > 0 ? deferred().promise : null);
  const parked = Array.from({ length: 32 }, (_, i) => 1000 * (i + 1));
  for (const offset of [...parked, 0])
    await client.say(requestBytes({ cookie: BigInt(offset), offset, length: 10 }));
  await client.reply(0n);
  t.equal((await client.hear(10)).length, 10);
  host.offer();
  await move(t, host);
  for (const offset of parked) {
    await client.reply(BigInt(offset));
    t.ok((await client.hear(10)).equals(bytesAt(offset, 10)));
  }
});

await test('each of many requests is answered once, by the old or the new', async (t) => {
  const { host, client } = await begin(t);
  const count = 2000;
  const requests = Array.from({ length: count }, (_, i) =>
    requestBytes({ cookie: BigInt(i), offset: i * 700, length: 3000 }),
  );
  const said = client.say(Buffer.concat(requests));
  const heard = (async () => {
    for (let i = 0; i < count; i++) {
      await client.reply(BigInt(i));
      if (!(await client.hear(3000)).equals(bytesAt(i * 700, 3000))) throw new Error(`read ${i}`);
    }
  })();
  heard.catch(() => undefined);
  const hosts = [host];
  for (let i = 0; i < 5; i++) {
    await pause(3);
    hosts.at(-1)?.offer();
    hosts.push(await move(t, hosts.at(-1) as Host));
  }
  await Promise.all([said, heard]);
  const total = hosts.reduce((sum, { connection }) => sum + connection.counts.requests, 0);
  t.equal(total, count);
  t.ok(await client.isQuiet());
});

await test('structured replies and metadata contexts move with the connection', async (t) => {
  const [ours, fd] = sockets.pair();
  t.teardown(() => descriptors.close(fd));
  const host = new Host(ours);
  host.connection.start();
  const client = new Client(fd);
  const context = Buffer.from('base:allocation');
  const name = Buffer.from('x');
  const query = Buffer.concat([u32(name.length), name, u32(1), u32(context.length), context]);
  await client.say(clientFlags());
  await client.say(optionBytes(NBD_OPT.STRUCTURED_REPLY, Buffer.alloc(0)));
  await client.say(optionBytes(NBD_OPT.SET_META_CONTEXT, query));
  await client.say(optionBytes(NBD_OPT.GO, infoData('x', [NBD_INFO.EXPORT])));
  await client.hear(18 + 20 + (20 + 4 + context.length) + 20 + 32 + 34 + 20);
  host.offer();
  await until(() => host.offered.length === 1);
  t.match(host.offered[0]?.transmission, { form: 'structured', contexts: ['base:allocation'] });
  const next = await move(t, host);
  next.fake.grain = MIB;
  await client.say(requestBytes({ type: NBD_CMD.BLOCK_STATUS, cookie: 8n, length: 4096 }));
  const status = await client.hear(20 + 4 + 8);
  t.equal(status.readUInt32BE(0), 0x668e33ef, 'a structured reply');
  t.equal(status.readUInt16BE(6), 5, 'of type NBD_REPLY_TYPE_BLOCK_STATUS');
  t.equal(status.readBigUInt64BE(8), 8n);
});

await test('a connection that was not taken over continues where it was', async (t) => {
  const { host, client } = await begin(t);
  await client.say(requestBytes({ cookie: 1n, length: 32 * MIB }));
  await until(() => host.fake.reads.length > 0);
  host.offer();
  await client.say(requestBytes({ cookie: 2n, offset: 1, length: 10 }));
  await pause(20);
  host.offer(false);
  const lengths = new Map([
    [1n, 32 * MIB],
    [2n, 10],
  ]);
  while (lengths.size > 0) {
    const cookie = (await client.hear(16)).readBigUInt64BE(8);
    await client.hear(lengths.get(cookie) ?? 0);
    lengths.delete(cookie);
  }
  t.same(host.offered, []);
  await client.say(requestBytes({ type: NBD_CMD.DISC }));
  await until(() => host.closed.length === 1);
});

await test('a handshake ends before the connection moves', async (t) => {
  const [ours, fd] = sockets.pair();
  t.teardown(() => descriptors.close(fd));
  const host = new Host(ours);
  host.connection.start();
  const client = new Client(fd);
  await client.hear(18);
  await client.say(GO.subarray(0, 10));
  await pause(10);
  host.offer();
  await pause(30);
  t.same([host.offered, host.closed], [[], []]);
  await client.say(Buffer.concat([GO.subarray(10), requestBytes({ cookie: 1n, length: 9 })]));
  await client.hear(GONE - 18);
  await move(t, host);
  await client.reply(1n);
  t.ok((await client.hear(9)).equals(bytesAt(0, 9)));
});

await test('a client that has sent NBD_CMD_DISC does not move', async (t) => {
  const { host, client } = await begin(t);
  await client.say(
    Buffer.concat([
      requestBytes({ cookie: 1n, length: MIB }),
      requestBytes({ type: NBD_CMD.DISC }),
    ]),
  );
  await until(() => host.fake.reads.length > 0);
  await pause(20);
  host.offer();
  await client.reply(1n);
  await client.hear(MIB);
  await until(() => host.closed.length === 1);
  t.same(host.offered, []);
  t.match(host.closed, [{ reason: 'client disconnected' }]);
});

function u32(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value, 0);
  return out;
}
