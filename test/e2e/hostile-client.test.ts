// The real daemon with one thread, and hostile or broken clients; after each of them a good client must be served as
// before.
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { NBD_CMD, NBD_EPERM, NBD_INFO, NBD_OPT, NBD_REP } from '../../daemon/nbd/constants.js';
import {
  HANDSHAKE_TIMEOUT_MS,
  MAX_LARGE_BYTES,
  MAX_OPTION_LENGTH,
  MAX_HANDSHAKE_BYTES,
} from '../../daemon/nbd/limits.js';
import { MAX_CONNECTIONS } from '../../daemon/listen/limits.js';
import { DaemonProcess, shortFolder } from '../support/daemon-process.js';
import { writeRaw, writeZfileLayer } from '../support/e2e-images.js';
import {
  RawNbdClient,
  clientFlags,
  infoData,
  optionBytes,
  requestBytes,
  tick,
  wholeSession,
} from '../support/nbd-client.js';
import { randomBytes } from '../support/pattern.js';
import { fallsTo } from '../support/descriptors.js';

t.setTimeout(900_000);

const MIB = 1 << 20;
const RAW_SIZE = 40 * MIB;
const ZFILE_SIZE = 4 * MIB;

const folder = shortFolder(t);
const raw = writeRaw(join(folder, 'raw.img'), 1, RAW_SIZE);
const zfile = writeZfileLayer(join(folder, 'layer.obd'), 2, ZFILE_SIZE);
const daemon = await DaemonProcess.start(
  t,
  ['--threads', '1', '-e', `raw=${folder}/raw.img`, '-e', `z=${folder}/layer.obd`].concat(
    // All clients here are one user, and the limit of the whole daemon is tested.
    ['--max-connections-per-peer', `${MAX_CONNECTIONS}`],
  ),
  { listen: ['tcp://127.0.0.1:0'] },
);
const begin = performance.now();

/** One client that stays, and one that is new: both must soon read the right bytes. */
const resident = await RawNbdClient.open(daemon.unix, 'z');

/** Connections that the log reports, each with its own line or in a count. */
function connections(pattern: RegExp): number {
  return daemon
    .lines(pattern)
    .map((line) => Number(/(\d+) more connections?/.exec(line)?.[1] ?? 1))
    .reduce((sum, each) => sum + each, 0);
}

async function counted(pattern: RegExp, least: number): Promise<void> {
  const deadline = performance.now() + 120_000;
  while (connections(pattern) < least) {
    if (performance.now() > deadline) throw new Error(`${connections(pattern)} of ${least} logged`);
    await tick(50);
  }
}

async function healthy(test: Test, bound = 90_000): Promise<void> {
  const start = performance.now();
  const fresh = await RawNbdClient.open(daemon.unix, 'raw');
  for (const offset of [0, 12_345, RAW_SIZE - 5000]) {
    const data = await fresh.read(offset, 5000);
    if (!data.equals(raw.subarray(offset, offset + 5000))) test.fail(`raw bytes at ${offset}`);
  }
  await fresh.disconnect();
  const data = await resident.read(777, 100_000);
  if (!data.equals(zfile.subarray(777, 100_777))) test.fail('bytes from a ZFile');
  const took = performance.now() - start;
  test.ok(took < bound, `a good client is served in ${Math.round(took)} ms`);
}

/** Clients that connect and send nothing, or too little: they are closed while the tests below run. */
const silent = await Promise.all(
  [daemon.unix, daemon.tcp, daemon.unix, daemon.tcp].map(async (to, i) => {
    const client = await RawNbdClient.connect(to);
    await client.greeting();
    if (i >= 2) client.send(Buffer.concat([clientFlags(), optionBytes(1, Buffer.alloc(9), 10)]));
    const end = client.ended(12 * HANDSHAKE_TIMEOUT_MS).then((how) => [how, performance.now()]);
    return { end };
  }),
);

await t.test('a session that is cut off at every byte', async (test) => {
  const session = wholeSession('z', 4000, 10_000);
  const cuts = Array.from({ length: session.length + 1 }, (_, i) => i);
  for (let at = 0; at < cuts.length; at += 16) {
    const batch = cuts.slice(at, at + 16).map(async (cut) => {
      const client = await RawNbdClient.connect(cut % 2 === 0 ? daemon.unix : daemon.tcp);
      if (cut % 3 === 0) await client.greeting();
      client.send(session.subarray(0, cut));
      await client.flushed();
      if (cut % 5 === 0) await tick(20);
      if (cut % 4 === 1) client.socket.resetAndDestroy();
      else client.destroy();
    });
    await Promise.all(batch);
  }
  await healthy(test);
});

await t.test('a session that arrives byte by byte', async (test) => {
  const client = await RawNbdClient.connect(daemon.unix);
  for (const byte of wholeSession('z', 4000, 10_000)) {
    client.send(Buffer.from([byte]));
    await client.flushed();
    await tick(0);
  }
  const all = await client.takeRest();
  test.ok(all.subarray(-10_000).equals(zfile.subarray(4000, 14_000)));
  client.destroy();
  await healthy(test);
});

await t.test('options that are too long', async (test) => {
  const client = await RawNbdClient.connect(daemon.unix);
  await client.handshake();
  const length = MAX_OPTION_LENGTH + 100_000;
  client.send(optionBytes(NBD_OPT.INFO, Buffer.alloc(length, 'IHAVEOPT')));
  test.match(await client.optionReply(NBD_OPT.INFO), { type: NBD_REP.ERR_TOO_BIG });
  test.same(await client.list(), ['raw', 'z'], 'the next option is understood');
  test.equal((await client.go('z')).size, ZFILE_SIZE);
  client.destroy();

  const before = daemon.residentBytes();
  const flood = await RawNbdClient.connect(daemon.unix);
  await flood.handshake();
  flood.send(optionBytes(NBD_OPT.GO, Buffer.alloc(0), 0xffffffff));
  for (let i = 0; i < 64; i++) {
    flood.send(Buffer.alloc(MIB));
    await flood.flushed();
  }
  test.ok(daemon.residentBytes() - before < 48 * MIB, '4 GiB of option data are not kept');
  flood.destroy();
  await healthy(test);
});

await t.test('handshakes that are too long, and unknown export names', async (test) => {
  const many = await RawNbdClient.connect(daemon.tcp);
  await many.handshake();
  const most = Math.floor(MAX_HANDSHAKE_BYTES / (16 + 10_000));
  for (let i = 0; i <= most; i++) many.option(99, randomBytes(i + 1, 10_000));
  const told = await many.takeRest();
  test.ok(told.length > most * 20, 'refused one by one, then the end');
  const wrong = await RawNbdClient.connect(daemon.unix);
  await wrong.handshake();
  await test.rejects(wrong.go('nope'), { message: /80000006.*no export named "nope"/ });
  wrong.option(NBD_OPT.EXPORT_NAME, Buffer.from('nope'));
  await wrong.ended();
  for (const client of [many, wrong]) client.destroy();
  await healthy(test);
});

await t.test('random bytes', async (test) => {
  for (let seed = 1; seed <= 8; seed++) {
    const client = await RawNbdClient.connect(seed % 2 === 0 ? daemon.unix : daemon.tcp);
    if (seed % 4 >= 2) {
      await client.handshake();
      await client.go('z');
      client.request({ offset: 1, length: 1 });
    }
    client.send(randomBytes(seed, 2 * MIB));
    await client.ended();
    client.destroy();
  }
  const client = await RawNbdClient.open(daemon.unix, 'z');
  client.request({ cookie: 3n, offset: 0, length: 10 });
  client.request({ magic: 0x25609514, offset: 0, length: 10 });
  test.match(await client.reply(), { error: 0, cookie: 3n });
  test.same(await client.take(10), zfile.subarray(0, 10), 'earlier requests are answered');
  await client.ended();
  client.destroy();
  await healthy(test);
});

await t.test('floods of write payload', async (test) => {
  const client = await RawNbdClient.open(daemon.unix, 'raw');
  const payload = Buffer.alloc(MIB, requestBytes({ length: 1 }));
  for (let i = 0; i < 30; i++) {
    test.equal(
      await client.command({ type: NBD_CMD.WRITE, offset: i * MIB, length: MIB }, payload),
      NBD_EPERM,
    );
  }
  test.same(await client.read(5, 5), raw.subarray(5, 10));
  const before = daemon.residentBytes();
  client.request({ type: NBD_CMD.WRITE, offset: 0, length: 0xffffffff });
  for (let i = 0; i < 60; i++) {
    client.send(payload);
    await client.flushed();
  }
  test.equal(
    client.socket.readableLength,
    0,
    'there is no answer before the whole payload has arrived',
  );
  test.ok(daemon.residentBytes() - before < 48 * MIB);
  await healthy(test);
  client.destroy();
  await healthy(test);
});

/** One more than the budget for long replies has room for. */
const LONG = 5;

await t.test('clients that never read their replies', async (test) => {
  const before = daemon.residentBytes();
  const stuck = await Promise.all(
    Array.from({ length: 24 }, async (_, i) => {
      const client = await RawNbdClient.open(i % 2 === 0 ? daemon.unix : daemon.tcp, 'raw');
      if (i < LONG) {
        for (let n = 0; n < 8; n++) client.request({ offset: n, length: 32 * MIB });
      } else {
        const requests = Array.from({ length: 5000 }, () => requestBytes({ length: 60_000 }));
        client.send(Buffer.concat(requests));
      }
      return client;
    }),
  );
  const closedBefore = connections(/client stopped reading/);
  let beforeAny = 0;
  for (let i = 0; i < 60; i++) {
    const data = await resident.read(i * 4096, 4096);
    if (connections(/client stopped reading/) === closedBefore) beforeAny++;
    if (!data.equals(zfile.subarray(i * 4096, (i + 1) * 4096))) test.fail(`bytes of read ${i}`);
    await tick(15);
  }
  // If it waited for a holder of the budget, the first read would be answered when that holder is closed. The line about that
  // may come after the answer, but not after that of the next read, which would wait for the next holder.
  test.ok(beforeAny >= 2, `${beforeAny} reads were answered before any client was closed`);
  // The holders of the budget can lose it meanwhile, as the fifth long reply waits for it. No other client is closed.
  const closed = connections(/client stopped reading/) - closedBefore;
  test.ok(closed <= LONG, `others are served while ${stuck.length} do not read: ${closed} closed`);
  const grown = daemon.residentBytes() - before;
  // Long replies from their budget; for each of the other clients a buffer of half a MiB.
  const bound = MAX_LARGE_BYTES + 24 * MIB + 64 * MIB;
  test.ok(grown < bound, `${Math.round(grown / MIB)} MiB held, at most ${bound / MIB}`);
  await healthy(test);

  // The budget for long replies is used up; a holder that reads nothing loses it.
  const patient = await RawNbdClient.open(daemon.unix, 'raw');
  patient.request({ cookie: 1n, offset: 9, length: 3 * MIB });
  test.match(await patient.reply(), { error: 0, cookie: 1n });
  test.ok((await patient.take(3 * MIB)).equals(raw.subarray(9, 9 + 3 * MIB)));
  test.ok(await daemon.waitForLines(/client stopped reading/), 'and it is logged');
  await patient.disconnect();
  for (const client of stuck) client.destroy();
  await daemon.waitForLines(/closed: /, 24);
  // Their memory is returned to the system without waiting for a garbage collection.
  let left = Infinity;
  for (let i = 0; i < 2400 && left > 48 * MIB; i++) {
    await tick(50);
    left = daemon.residentBytes() - before;
  }
  test.ok(left <= 48 * MIB, `${Math.round(left / MIB)} of ${Math.round(grown / MIB)} MiB are left`);
  await healthy(test);
});

await t.test('silent clients are closed after the handshake timeout', async (test) => {
  for (const { end } of silent) {
    const [how, when] = await end;
    test.match(how, /end|reset/);
    const after = Number(when) - begin;
    test.ok(
      after > HANDSHAKE_TIMEOUT_MS - 1000,
      `not before the timeout (${Math.round(after)} ms)`,
    );
    test.ok(after < 6 * HANDSHAKE_TIMEOUT_MS, 'but soon after');
  }
  const closed = await daemon.waitForLines(/handshake took too long/, silent.length);
  test.equal(closed.length, silent.length);
});

await t.test('connections are limited, and none leaks', async (test) => {
  const before = await daemon.openFiles();
  const hungUp = connections(/client hung up/);
  const crowd: RawNbdClient[] = [];
  let greeted = 0;
  // Greeted or refused, both count here. At most a backlog of connections at once.
  for (let i = 0; i < MAX_CONNECTIONS + 20; i += 64) {
    const batch = Array.from({ length: 64 }, async () => {
      const client = await RawNbdClient.connect(daemon.unix);
      crowd.push(client);
      if (await client.isGreeted()) greeted += 1;
    });
    await Promise.all(batch);
  }
  test.equal(greeted, MAX_CONNECTIONS - 1, 'including the one that is connected already');
  const { length: refusals } = await daemon.waitForLines(/refused: /);
  test.ok(refusals >= 1 && refusals <= 2, 'one line in 10 s for all refused connections');
  test.same(await resident.read(0, 9), zfile.subarray(0, 9));
  for (const client of crowd) client.destroy();
  await counted(/client hung up/, hungUp + greeted);
  await healthy(test);
  test.ok(await fallsTo(before + 1, () => daemon.openFiles()), 'no descriptor stays open');
});

await t.test('afterwards the daemon serves as before', async (test) => {
  const client = await RawNbdClient.connect(daemon.tcp);
  await client.handshake();
  test.match(await client.go('z', [NBD_INFO.NAME]), { size: ZFILE_SIZE, name: 'z' });
  await client.disconnect();
  client.option(NBD_OPT.GO, infoData('z'));
  await resident.disconnect();
  await daemon.stop(test);
});
