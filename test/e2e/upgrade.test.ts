// The daemon is replaced while clients read: no reply is lost, doubled or wrong, connections stay, and new ones are
// accepted all the time. With devices of the kernel: test/kernel.
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { DaemonStatus } from '../../daemon/control/api.js';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { askRaw, socketOf, waitForControl } from '../support/control.js';
import { writeRaw } from '../support/e2e-images.js';
import { RawNbdClient, tick } from '../support/nbd-client.js';
import { PipelinedReads } from '../support/pipelined-reads.js';
import { openTls, withCertificate } from '../support/tls-client.js';
import { makePki } from '../support/tls-files.js';
import { requireTool } from '../support/tools.js';

t.setTimeout(900_000);
const MIB = 1 << 20;
const disk = writeRaw(join(shortFolder(t), 'disk.img'), 5, 16 * MIB);

interface World {
  daemon: DaemonProcess;
  state: string;
  config: string;
  image: string;
}

async function start(test: Test, ...args: string[]): Promise<World> {
  const folder = shortFolder(test);
  const [state, config, image] = ['state', 'daemon.json', 'disk.img'].map((each) =>
    join(folder, each),
  ) as [string, string, string];
  writeFileSync(image, disk);
  writeFileSync(config, JSON.stringify({ exports: { '': image } }));
  const daemon = await DaemonProcess.start(
    test,
    ['--config', config, '--state', state, '--threads', '2', ...args],
    { listen: ['tcp://127.0.0.1:0'] },
  );
  await waitForControl(socketOf(state));
  // The last owner of the state folder is a grandchild of the test.
  test.teardown(async () => {
    const pid = await pidOf(state).catch(() => null);
    if (pid !== null) process.kill(pid, 'SIGKILL');
  });
  return { daemon, state, config, image };
}

async function statusOf(state: string): Promise<DaemonStatus> {
  const { body } = await askRaw(socketOf(state), { path: '/v1/status' });
  return JSON.parse(body) as DaemonStatus;
}

async function pidOf(state: string): Promise<number> {
  return (await statusOf(state)).pid;
}

/** Waits until another process than `pid` answers. @returns its pid */
async function successorOf(state: string, pid: number): Promise<number> {
  for (const end = performance.now() + 120_000; performance.now() < end; await tick(50)) {
    const now = await pidOf(state).catch(() => pid);
    if (now !== pid) return now;
  }
  throw new Error('no other daemon answers');
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return false;
  }
}

async function endOf(pid: number): Promise<void> {
  for (const end = performance.now() + 120_000; isAlive(pid); await tick(20)) {
    if (performance.now() > end) throw new Error(`process ${pid} runs on`);
  }
}

/** The successor keeps its standard error open, and `exited` would wait for that too. */
async function exitCode({ child }: DaemonProcess): Promise<number | null> {
  if (child.exitCode !== null) return child.exitCode;
  return new Promise((resolve) => child.once('exit', resolve));
}

/** New clients, one after the other; each reads something. */
async function knock({ daemon }: World, isOver: () => boolean): Promise<number> {
  let served = 0;
  while (!isOver()) {
    for (const to of [daemon.tcp, daemon.unix]) {
      const client = await RawNbdClient.open(to);
      const bytes = await client.read(served * 512, 1000);
      if (!bytes.equals(disk.subarray(served * 512, served * 512 + 1000))) throw new Error('bytes');
      await client.disconnect();
      served++;
    }
  }
  return served;
}

await t.test('SIGUSR2 during pipelined reads, twice', async (test) => {
  const world = await start(test);
  const { daemon, state } = world;
  const places = [daemon.tcp, daemon.tcp, daemon.unix, daemon.unix];
  const clients = await Promise.all(places.map((to) => RawNbdClient.open(to)));
  const idle = await RawNbdClient.open(daemon.unix);
  let over = false;
  const reads = clients.map((client) => new PipelinedReads(client, disk));
  const lengths = [4096, 300_000, 512, 40_000];
  const going = reads.map((each, i) =>
    each.keepGoing(lengths[i] ?? 512, i === 1 ? 2 * MIB : 512 * 400, () => over),
  );
  const knocking = knock(world, () => over);
  const all = Promise.all([...going, knocking]);
  all.catch(() => undefined);
  await tick(300);
  let pid = daemon.child.pid ?? 0;
  const before: number[] = [];
  for (const round of [1, 2]) {
    before.push(...reads.map(({ answered }) => answered));
    process.kill(pid, 'SIGUSR2');
    const next = await successorOf(state, pid);
    test.not(next, pid, `round ${round}: another process`);
    await endOf(pid);
    pid = next;
    await tick(300);
  }
  over = true;
  const results = await all;
  test.ok((results.at(-1) as number) > 3, 'new clients were served meanwhile');
  for (const [i, each] of reads.entries()) {
    test.equal(each.answered, each.sent, `client ${i}: every read answered once`);
    test.ok(each.answered > (before[4 + i] ?? 0), `client ${i}: also by the last daemon`);
  }
  test.same(await idle.read(100, 5000), disk.subarray(100, 5100), 'an idle client goes on');
  for (const client of [...clients, idle]) await client.disconnect();
  test.equal(await exitCode(daemon), 0, 'the first daemon ended cleanly');
  test.notMatch(daemon.log, /\bBUG\b|thread died|error:/);

  const third = await runDaemon(['serve', daemon.socketPath, '--state', state]);
  test.equal(third.code, 1, 'the state folder is locked by the last daemon');
  test.match(third.stderr, /another daemon uses it.*--state/);
  process.kill(pid, 'SIGTERM');
  await endOf(pid);
  test.notOk(existsSync(daemon.socketPath), 'the last daemon removes the socket');
  test.notOk(existsSync(socketOf(state)), 'and the control socket');
});

/** The log line of a deadline that has passed. */
const NOT_IN_TIME = /did not (end|take)/;

await t.test('the upgrade command prints the new process', async (test) => {
  const { daemon, state } = await start(test);
  const client = await RawNbdClient.open(daemon.tcp);
  const { code, stdout, stderr } = await runDaemon(['upgrade', '--state', state]);
  test.equal(code, 0, stderr);
  test.notMatch(daemon.log, NOT_IN_TIME);
  const pid = Number(stdout);
  test.equal(pid, await pidOf(state));
  test.not(pid, daemon.child.pid);
  test.same(await client.read(7, 100), disk.subarray(7, 107));
  test.equal((await statusOf(state)).clients, 1, 'the client is counted');
  test.equal(await exitCode(daemon), 0);
  client.destroy();
});

await t.test('an upgrade with a client in its handshake, and one that is stuck', async (test) => {
  const { daemon, state } = await start(test);
  const shaking = await RawNbdClient.connect(daemon.tcp);
  await shaking.handshake();
  const reader = new PipelinedReads(await RawNbdClient.open(daemon.unix), disk);
  let over = false;
  const reading = reader.keepGoing(4096, 100_000, () => over);
  reading.catch(() => undefined);
  await tick(100);
  const pid = daemon.child.pid ?? 0;
  process.kill(pid, 'SIGUSR2');
  await successorOf(state, pid);
  const answered = reader.answered;
  while (reader.answered < answered + 50) await tick(5);
  // Other clients do not wait for it: it is still in its handshake.
  await shaking.go();
  test.same(await shaking.read(0, 512), disk.subarray(0, 512), 'the client goes on afterwards');
  over = true;
  await reading;
  await endOf(pid);
  test.same(await shaking.read(9, 512), disk.subarray(9, 521), 'at the new daemon');
});

await t.test('an upgrade closes clients with TLS, which cannot move', async (test) => {
  if (!requireTool(test, 'openssl')) return;
  const pki = await makePki(shortFolder(test));
  const { certificate, key } = pki.server;
  const args = ['--tls-cert', certificate, '--tls-key', key, '--tls', 'on'];
  const { daemon, state } = await start(test, ...args);
  const secure = await openTls(daemon.tcp, withCertificate(pki.caPem));
  const plain = new PipelinedReads(await RawNbdClient.open(daemon.tcp), disk);
  test.same(await secure.read(1, 512), disk.subarray(1, 513));
  plain.send(100, 4096);
  const { code, stderr } = await runDaemon(['upgrade', '--state', state]);
  test.equal(code, 0, stderr);
  test.notMatch(daemon.log, NOT_IN_TIME, 'the upgrade does not wait for it');
  test.equal(await secure.ended(), 'end', 'its connection ends cleanly');
  await plain.takeAll();
  plain.send(10, 4096);
  await plain.takeAll();
  test.equal(await exitCode(daemon), 0);
  const again = await openTls(daemon.tcp, withCertificate(pki.caPem));
  test.same(await again.read(1, 512), disk.subarray(1, 513));
  await again.disconnect();
});

await t.test('a successor that cannot start changes nothing', async (test) => {
  const { daemon, state, config } = await start(test);
  const client = await RawNbdClient.open(daemon.tcp);
  const good = readFileSync(config);
  writeFileSync(config, '{');
  const { code, stderr } = await runDaemon(['upgrade', '--state', state]);
  test.equal(code, 2);
  test.match(stderr, /did not become ready.*exit code 2.*the old one continues/);
  test.match(stderr, /BAD_CONFIG: .*daemon\.json/, 'with the error of the new daemon');
  const told = await runDaemon(['upgrade', '--state', state, '--json']);
  test.equal(told.code, 2);
  test.match(JSON.parse(told.stdout), {
    error: { code: 'BAD_CONFIG', message: /daemon\.json/, facts: { path: config } },
  });
  writeFileSync(config, JSON.stringify({ exports: { '': join(config, '..', 'none') } }));
  const noImage = await runDaemon(['upgrade', '--state', state, '--json']);
  test.match(JSON.parse(noImage.stdout), {
    error: { code: 'NOT_FOUND', message: /none/, facts: { blob: /none$/ } },
  });
  test.equal(await pidOf(state), daemon.child.pid);
  await daemon.waitForLines(/daemon\.json/); // its message
  test.same(await client.read(0, 512), disk.subarray(0, 512));
  const another = await RawNbdClient.open(daemon.unix);
  test.same(await another.read(0, 512), disk.subarray(0, 512));
  const third = await runDaemon(['serve', config, '--state', state]);
  test.not(third.code, 0, 'the old daemon keeps the lock');
  writeFileSync(config, good);
  const again = await runDaemon(['upgrade', '--state', state, '--json']);
  test.equal(again.code, 0, 'the upgrade can be tried again');
  test.same(JSON.parse(again.stdout), { pid: await pidOf(state) });
  test.same(await client.read(0, 512), disk.subarray(0, 512));
  for (const each of [client, another]) await each.disconnect();
});

await t.test('a connection to an export that the new daemon lacks ends', async (test) => {
  const { daemon, state, config, image } = await start(test);
  const client = await RawNbdClient.open(daemon.tcp);
  writeFileSync(config, JSON.stringify({ exports: { other: image } }));
  test.equal((await runDaemon(['upgrade', '--state', state])).code, 0);
  test.equal(await client.ended(), 'end', 'the connection ends');
  const fresh = await RawNbdClient.open(daemon.tcp, 'other');
  await fresh.disconnect();
});

await t.test('the listening socket is passed, not replaced', async (test) => {
  const folder = shortFolder(test);
  const image = join(folder, 'disk.img');
  writeFileSync(image, disk);
  const daemon = await DaemonProcess.start(test, [image]);
  const client = await RawNbdClient.open(daemon.unix);
  const inode = statSync(daemon.socketPath).ino;
  daemon.child.kill('SIGUSR2');
  const [line = ''] = await daemon.waitForLines(/upgrade: process \d+ has 1 connection/);
  const pid = Number(/process (\d+)/.exec(line)?.[1]);
  test.teardown(() => {
    if (isAlive(pid)) process.kill(pid, 'SIGKILL');
  });
  test.same(await client.read(0, 512), disk.subarray(0, 512));
  test.equal(statSync(daemon.socketPath).ino, inode);
  await client.disconnect();
});
