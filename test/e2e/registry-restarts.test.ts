// What the cache keeps: a daemon that was killed opens its images with the registry dead, two daemons share a folder,
// and an upgrade takes over reads that wait for the network.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { DaemonStatus } from '../../daemon/control/api.js';
import { askRaw, socketOf, waitForControl } from '../support/control.js';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { metricOf, untilMetrics } from '../support/metrics-reader.js';
import { RawNbdClient } from '../support/nbd-client.js';
import {
  compare,
  comparePatiently,
  openPatiently,
  PATIENCE,
  readOrError,
  remoteImage,
  remoteOptions,
} from '../support/registry/remote-image.js';

t.setTimeout(170_000);

const MIB = 1 << 20;
const EIO = 5;

await t.test('kill -9, then a dead registry', async (test) => {
  const { front, files, name } = await remoteImage(test, { files: { size: 16 * MIB } });
  const { device } = files;
  const cache = join(shortFolder(test), 'cache');
  const args = [name, ...remoteOptions([front], cache, 2)];
  const first = await DaemonProcess.start(test, args);
  const before = await openPatiently(first.unix);
  test.equal(await comparePatiently(before, device, 0, MIB), null);
  first.child.kill('SIGKILL');
  await first.exited();
  await front.die();

  const daemon = await DaemonProcess.start(test, args);
  const client = await openPatiently(daemon.unix);
  test.equal(await compare(client, device, 0, MIB), null, 'what was read is there');
  // Farther away than any read-ahead has come.
  test.equal(await readOrError(client, 7 * MIB, 4096), EIO, 'the rest is not');
  await front.revive();
  test.equal(await comparePatiently(client, device), null, 'and comes when the registry does');
  client.destroy();
  await daemon.stop(test);
});

await t.test('an end, then a dead registry, with a cache smaller than the image', async (test) => {
  const { front, files, name } = await remoteImage(test, { files: { size: 32 * MIB } });
  const cache = join(shortFolder(test), 'cache');
  const args = [name, ...remoteOptions([front], cache, 2), '--cache-size', `${4 * MIB}`];
  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    const first = await DaemonProcess.start(test, args);
    const before = await openPatiently(first.unix);
    test.equal(await comparePatiently(before, files.device), null);
    before.destroy();
    first.child.kill(signal);
    await first.exited();
    await front.die();
    const daemon = await DaemonProcess.start(test, args);
    const client = await openPatiently(daemon.unix);
    // It has opened. Which chunks the cache has kept depends on when it was full.
    const answer = await readOrError(client, 7 * MIB, 4096);
    const right = files.device.subarray(7 * MIB, 7 * MIB + 4096);
    test.ok(typeof answer === 'number' ? answer === EIO : right.equals(answer), signal);
    client.destroy();
    await daemon.stop(test);
    await front.revive();
  }
});

await t.test('--offline serves what the cache has', async (test) => {
  const { front, files, name } = await remoteImage(test);
  const cache = join(shortFolder(test), 'cache');
  const args = [name, ...remoteOptions([front], cache)];
  const first = await DaemonProcess.start(test, args);
  const before = await RawNbdClient.open(first.unix);
  test.equal(await compare(before, files.device), null);
  before.destroy();
  await first.stop(test);
  front.log.clear();
  const daemon = await DaemonProcess.start(test, [...args, '--offline']);
  const client = await RawNbdClient.open(daemon.unix);
  test.equal(await compare(client, files.device), null);
  client.destroy();
  await daemon.stop(test);
  test.equal(front.log.requests.length, 0, 'nothing was asked for');
});

await t.test('two daemons share a folder, and fetch nothing twice', async (test) => {
  const { front, files, name } = await remoteImage(test, {
    front: { latencyMs: 20 },
    files: { size: 8 * MIB },
  });
  const cache = join(shortFolder(test), 'cache');
  const args = [name, ...remoteOptions([front], cache)];
  const daemons = await Promise.all([
    DaemonProcess.start(test, args),
    DaemonProcess.start(test, args),
  ]);
  const clients = await Promise.all(daemons.map(({ unix }) => RawNbdClient.open(unix)));
  const seen = await Promise.all(clients.map((client) => compare(client, files.device)));
  test.same(seen, [null, null]);
  test.equal(front.log.duplicateBytes(), 0);
  for (const client of clients) client.destroy();
  for (const daemon of daemons) await daemon.stop(test);
});

await t.test('two daemons read from both ends, with read-ahead and fill', async (test) => {
  const { front, files, name } = await remoteImage(test, {
    front: { latencyMs: 5 },
    files: { size: 8 * MIB },
  });
  const cache = join(shortFolder(test), 'cache');
  const args = [name, ...remoteOptions([front], cache), '--fill-rate', '100M'];
  const daemons = [
    await DaemonProcess.start(test, args),
    await DaemonProcess.start(test, args),
  ] as const;
  const [one, two] = [
    await RawNbdClient.open(daemons[0].unix),
    await RawNbdClient.open(daemons[1].unix),
  ];
  const backwards = async (): Promise<string | null> => {
    for (let at = 8 * MIB - 100_000; at >= 0; at -= 100_000) {
      const problem = await compare(two, files.device, at, at + 100_000);
      if (problem !== null) return problem;
    }
    return null;
  };
  test.same(await Promise.all([compare(one, files.device), backwards()]), [null, null]);
  test.equal(front.log.duplicateBytes(), 0);
  for (const client of [one, two]) client.destroy();
  for (const daemon of daemons) await daemon.stop(test);
});

await t.test('one of two daemons is killed in a transfer; the other takes over', async (test) => {
  const { front, files, name } = await remoteImage(test);
  const cache = join(shortFolder(test), 'cache');
  const args = [name, ...remoteOptions([front], cache)];
  const first = await DaemonProcess.start(test, args);
  const second = await DaemonProcess.start(test, args);
  const [one, two] = await Promise.all([first, second].map(({ unix }) => RawNbdClient.open(unix)));
  if (!one || !two) throw new Error('no clients');
  const stalled = front.rule({ match: { kind: 'data' }, action: { do: 'stall' }, times: 1 });
  const place = MIB + 200_000;
  one.request({ cookie: 1n, offset: place, length: 4096 });
  await front.log.waitFor(({ action }) => action === 'stall');
  two.request({ cookie: 2n, offset: place, length: 4096 });
  first.child.kill('SIGKILL');
  await first.exited();
  test.same(await two.reply(PATIENCE), { cookie: 2n, error: 0 });
  test.ok((await two.take(4096)).equals(files.device.subarray(place, place + 4096)));
  stalled.release();
  test.equal(await compare(two, files.device), null);
  two.destroy();
  await second.stop(test);
});

await t.test('an upgrade while 32 reads wait for the network', async (test) => {
  const { front, files, name } = await remoteImage(test, { files: { size: 16 * MIB } });
  const { device } = files;
  const folder = shortFolder(test);
  const [state, local, config, metrics] = ['state', 'local.img', 'daemon.json', 'm.sock'].map(
    (each) => join(folder, each),
  ) as [string, string, string, string];
  writeFileSync(local, device);
  writeFileSync(config, JSON.stringify({ exports: { remote: name, local } }));
  const options = ['--config', config, '--state', state, '--threads', '2'];
  const daemon = await DaemonProcess.start(test, [
    ...options,
    ...remoteOptions([front], join(folder, 'cache')),
    '--metrics-listen',
    `unix://${metrics}`,
  ]);
  await waitForControl(socketOf(state));
  const pid = async (): Promise<number> => {
    const { body } = await askRaw(socketOf(state), { path: '/v1/status' });
    return (JSON.parse(body) as DaemonStatus).pid;
  };
  test.teardown(async () => {
    const last = await pid().catch(() => null);
    if (last !== null && last !== daemon.child.pid) process.kill(last, 'SIGKILL');
  });
  const other = await RawNbdClient.open(daemon.unix, 'local');
  const clients: RawNbdClient[] = [];
  for (let i = 0; i < 4; i++) clients.push(await RawNbdClient.open(daemon.unix, 'remote'));
  const rule = front.rule({ match: { kind: 'data' }, action: { do: 'stall' } });
  const offsets = Array.from({ length: 8 }, (_, i) => i * 1_500_000 + 1_000_000);
  for (const [i, client] of clients.entries()) {
    for (const [j, offset] of offsets.entries()) {
      client.request({ cookie: BigInt(j), offset: offset + i * 300_000, length: 4096 });
    }
  }
  const parked = 'obd_reads_parked{export="remote"}';
  await untilMetrics(metrics, (body) => metricOf(body, parked) === 32);
  const upgraded = await runDaemon(['upgrade', '--state', state]);
  test.equal(upgraded.code, 0, upgraded.stderr);
  test.not(await pid(), daemon.child.pid, 'another process');
  test.ok((await other.read(0, 4096)).equals(device.subarray(0, 4096)), 'others go on');
  rule.release();
  for (const [i, client] of clients.entries()) {
    const missing = new Set(offsets.keys());
    while (missing.size > 0) {
      const { error, cookie } = await client.reply(PATIENCE);
      const j = Number(cookie);
      if (!missing.delete(j)) throw new Error(`a second reply to ${j}`);
      test.equal(error, 0);
      const offset = (offsets[j] as number) + i * 300_000;
      const bytes = await client.take(4096);
      if (!bytes.equals(device.subarray(offset, offset + 4096))) throw new Error(`bytes ${offset}`);
    }
    client.destroy();
  }
  other.destroy();
  process.kill(await pid(), 'SIGTERM');
});

await t.test('a reload while a read waits for the network', async (test) => {
  const { front, files, name } = await remoteImage(test, { files: { size: 16 * MIB } });
  const { device } = files;
  const folder = shortFolder(test);
  const [state, local, config, metrics] = ['state', 'local.img', 'daemon.json', 'm.sock'].map(
    (each) => join(folder, each),
  ) as [string, string, string, string];
  writeFileSync(local, device);
  writeFileSync(config, JSON.stringify({ exports: { remote: name } }));
  const options = remoteOptions([front], join(folder, 'cache'));
  const listen = ['--metrics-listen', `unix://${metrics}`];
  const serve = ['--config', config, '--state', state, ...listen, ...options];
  const daemon = await DaemonProcess.start(test, serve);
  await waitForControl(socketOf(state));
  const client = await RawNbdClient.open(daemon.unix, 'remote');
  const rule = front.rule({ match: { kind: 'data' }, action: { do: 'stall' } });
  const offset = 7 * MIB;
  client.request({ cookie: 5n, offset, length: 4096 });
  await untilMetrics(metrics, (body) => metricOf(body, 'obd_reads_parked{export="remote"}') === 1);
  writeFileSync(config, JSON.stringify({ exports: { remote: name, local } }));
  const reloaded = await runDaemon(['reload', '--state', state]);
  test.equal(reloaded.code, 0, reloaded.stderr);
  const other = await RawNbdClient.open(daemon.unix, 'local');
  test.ok((await other.read(0, 4096)).equals(device.subarray(0, 4096)), 'what it added is served');
  await untilMetrics(metrics, (body) => metricOf(body, 'obd_reads_parked{export="remote"}') === 1);
  rule.release();
  const { error, cookie } = await client.reply(PATIENCE);
  test.same([error, cookie], [0, 5n]);
  test.ok((await client.take(4096)).equals(device.subarray(offset, offset + 4096)));
  for (const each of [client, other]) each.destroy();
  await daemon.stop(test);
});
