// The turns of a connection that serves an export, and what becomes of its reads at the end. With sockets:
// connection.test.ts and offer.test.ts.
import { test, type Test } from 'tap';
import { NBD_CMD, NBD_EIO } from '../../../daemon/nbd/constants.js';
import { LargeMemory } from '../../../daemon/nbd/large-memory.js';
import { Outbox, SendBufferPool } from '../../../daemon/nbd/outbox.js';
import type { ConnectionContext } from '../../../daemon/reactor/connection-context.js';
import { Inbox } from '../../../daemon/reactor/inbox.js';
import { Serving } from '../../../daemon/reactor/serving.js';
import { TransmissionHost } from '../../../daemon/reactor/transmission-host.js';
import { requestBytes } from '../../support/nbd-client.js';
import { until } from '../../support/until.js';
import { FakeExport, bytesAt, tableOf } from '../nbd/fake-export.js';
import { deferred } from '../../support/deferred.js';

const REPLY = 16;

class Served {
  readonly fake = new FakeExport(1 << 20, 'x');
  readonly sent: Buffer[] = [];
  readonly failures: unknown[] = [];
  readonly serving: Serving;
  wakes = 0;
  readonly #inbox = new Inbox();

  constructor(t: Test) {
    const outbox = new Outbox(new SendBufferPool(), (bytes, offset, length) => {
      this.sent.push(Buffer.from(bytes.subarray(offset, offset + length)));
      return length;
    });
    const context: ConnectionContext = {
      exports: tableOf(this.fake),
      sendBuffers: new SendBufferPool(),
      largeMemory: new LargeMemory(),
      readFailed: (_connection, error) => this.failures.push(error),
      requestRefused: () => undefined,
      offered: () => undefined,
      closed: () => undefined,
    };
    const owner = {
      id: 1,
      name: 'client',
      export: this.fake,
      counts: { requests: 0, errors: 0, bytesSent: 0 },
      progress: () => void this.wakes++,
      close: () => undefined,
    };
    const host = new TransmissionHost(owner, outbox, context);
    const session = { form: 'simple', contexts: [] } as const;
    this.serving = new Serving(this.fake, session, this.#inbox, host);
    t.teardown(() => {
      this.serving.close();
      outbox.close();
    });
  }

  ask(type: number, cookie: number, offset = 0, length = 0): void {
    this.receive(requestBytes({ type, cookie: BigInt(cookie), offset, length }));
  }

  receive(bytes: Uint8Array): void {
    this.#inbox.fill(Buffer.concat([this.#inbox.unused, bytes]));
  }

  get replies(): Buffer {
    return Buffer.concat(this.sent);
  }
}

await test('a turn answers what has come, and the last one ends it', (t) => {
  const served = new Served(t);
  const { serving } = served;
  t.equal(serving.turn(false), 'goes on', 'nothing has come');
  t.equal(serving.wantsInput, true);
  served.ask(NBD_CMD.READ, 1, 512, 100);
  t.equal(serving.turn(false), 'goes on');
  t.ok(served.replies.subarray(REPLY).equals(bytesAt(512, 100)));
  served.ask(NBD_CMD.READ, 2, 0, 10);
  t.equal(serving.turn(true), 'done', 'a request that came before the end has its reply');
  t.equal(served.replies.length, REPLY + 100 + REPLY + 10);
  t.same(
    [serving.isDone, serving.wantsInput, serving.requests, serving.errors],
    [true, false, 2, 0],
  );
  t.end();
});

await test('after NBD_CMD_DISC the client still gets the replies that are due', async (t) => {
  const served = new Served(t);
  const { serving, fake } = served;
  const bytes = deferred();
  fake.onEnsure = () => bytes.promise;
  served.ask(NBD_CMD.READ, 1, 0, 10);
  served.ask(NBD_CMD.DISC, 2);
  t.equal(serving.turn(false), 'ending');
  t.equal(serving.isDone, false);
  bytes.resolve();
  await until(() => served.wakes > 0);
  t.equal(serving.turn(false), 'done');
  t.equal(served.replies.length, REPLY + 10);
});

await test('a paused one comes to rest with its parked reads, and goes on elsewhere', (t) => {
  const [here, there] = [new Served(t), new Served(t)];
  here.fake.onEnsure = () => deferred().promise;
  here.ask(NBD_CMD.READ, 1, 4096, 10);
  t.equal(here.serving.turn(false), 'goes on');
  here.serving.pause(true);
  here.ask(NBD_CMD.READ, 2, 0, 10);
  t.equal(here.serving.turn(false), 'at rest', 'the second request is not taken');
  const { received, ...offer } = here.serving.offered();
  t.match(offer, { export: 'x', size: here.fake.size, form: 'simple', skip: 0 });
  t.equal(received.length, 2 * 28, 'both requests go along');
  t.equal(here.replies.length, 0);
  there.receive(received);
  t.equal(there.serving.turn(true), 'done');
  t.ok(there.replies.subarray(REPLY, REPLY + 10).equals(bytesAt(4096, 10)));
  t.ok(there.replies.subarray(2 * REPLY + 10).equals(bytesAt(0, 10)));
  t.end();
});

await test('a parked read fails before the time for draining is over', async (t) => {
  const served = new Served(t);
  const { serving, fake } = served;
  fake.onEnsure = () => deferred().promise;
  served.ask(NBD_CMD.READ, 1, 0, 10);
  serving.turn(false);
  serving.failParkedWithin(10);
  await until(() => served.wakes > 0);
  t.equal(serving.turn(true), 'done');
  t.match(served.failures, [{ code: 'BUSY', message: 'the daemon stops' }]);
  t.equal(served.replies.readUInt32BE(4), NBD_EIO);
  t.equal(serving.errors, 1);
});

await test('the timer of a closed one wakes nothing', async (t) => {
  const [closedBefore, closedAfter, open] = [new Served(t), new Served(t), new Served(t)];
  for (const { serving, fake } of [closedBefore, closedAfter, open]) {
    fake.onEnsure = () => deferred().promise;
    serving.turn(false);
  }
  closedBefore.serving.close();
  closedBefore.serving.failParkedWithin(1);
  closedAfter.serving.failParkedWithin(1);
  closedAfter.serving.close();
  open.serving.failParkedWithin(2);
  await until(() => open.wakes > 0);
  t.same([closedBefore.wakes, closedAfter.wakes], [0, 0]);
});
