// A disk that stops answering: its reads end in EIO, and nothing else is affected.
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { askRaw, socketOf, waitForControl } from '../support/control.js';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { RawNbdClient, tick } from '../support/nbd-client.js';
import { randomBytes } from '../support/pattern.js';
import {
  requireStallableDisk,
  stallableDisk,
  type StallableDisk,
} from '../support/stallable-disk.js';
import { mustRun } from '../support/tools.js';

t.setTimeout(900_000);

const MIB = 1 << 20;
const SIZE = 16 * MIB;
const EIO = 5;
const sickBytes = randomBytes(1, SIZE);
const goodBytes = randomBytes(2, SIZE);
/** In seconds. */
const DEADLINE = '3';

interface World {
  readonly daemon: DaemonProcess;
  readonly disk: StallableDisk;
  readonly state: string;
  readonly config: string;
  readonly good: string;
  /** The socket of its metrics. */
  readonly metrics: string;
}

/** Two exports; one is on the disk that will stall. */
async function start(test: Test, threads: number): Promise<World> {
  const folder = shortFolder(test);
  const disk = await stallableDisk(test, folder, sickBytes);
  const [good, state, config, metrics] = ['good.img', 'state', 'daemon.json', 'metrics'].map(
    (name) => join(folder, name),
  ) as [string, string, string, string];
  writeFileSync(good, goodBytes);
  writeFileSync(config, JSON.stringify({ exports: { sick: disk.path, good }, threads }));
  const args = ['--config', config, '--state', state, '--read-deadline', DEADLINE];
  args.push('--metrics-listen', `unix://${metrics}`);
  const daemon = await DaemonProcess.start(test, args);
  await waitForControl(socketOf(state));
  return { daemon, disk, state, config, good, metrics };
}

/** Until a read of the export waits for its disk. */
async function waits(metrics: string, name: string): Promise<void> {
  const oldest = new RegExp(`^obd_read_oldest_seconds\\{export="${name}"\\} (?!0$)`, 'm');
  for (const end = performance.now() + 120_000; ; await tick(20)) {
    if (oldest.test((await askRaw(metrics, { path: '/metrics' })).body)) return;
    if (performance.now() > end) throw new Error(`no read of ${name} waits`);
  }
}

/** Removes the file from the page cache, so that reads have to wait for the disk. */
function forget(path: string): void {
  spawnSync('dd', [`of=${path}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0']);
}

async function readsGood(client: RawNbdClient, count: number): Promise<boolean> {
  for (let i = 0; i < count; i++) {
    const offset = (i * 1_234_567) % (SIZE - 4096);
    const got = await client.read(offset, 4096);
    if (!got.equals(goodBytes.subarray(offset, offset + 4096))) return false;
  }
  return true;
}

for (const threads of [1, 2]) {
  await t.test(`${threads} threads: stuck reads end in EIO, other clients go on`, async (test) => {
    if (!requireStallableDisk(test)) return;
    const { daemon, disk, state, good } = await start(test, threads);
    const clients = await Promise.all(
      ['good', 'good', 'sick', 'sick'].map((name) => RawNbdClient.open(daemon.unix, name)),
    );
    const [first, second, sick, other] = clients as [
      RawNbdClient,
      RawNbdClient,
      RawNbdClient,
      RawNbdClient,
    ];
    await disk.stall();
    // More reads than any pool has threads, by two clients.
    const count = 60;
    for (const [i, client] of [sick, other].entries()) {
      for (let j = 0; j < count; j++) {
        client.request({ cookie: BigInt(j), offset: (i + 1) * 4 * MIB + j * 65_536, length: 4096 });
      }
    }
    forget(good);
    test.ok(await readsGood(first, 300), 'cold reads of another disk');
    test.ok(await readsGood(second, 300));
    const late = await RawNbdClient.open(daemon.unix, 'good');
    test.ok(await readsGood(late, 100), 'a new client');
    const named = await RawNbdClient.open(daemon.unix, 'sick');
    test.notOk(named.isOver, 'a new client of the stalled export gets through the handshake');
    const asked = await askRaw(socketOf(state), { path: '/v1/status' });
    test.equal(asked.code, 200, 'status answers');

    for (const client of [sick, other]) {
      const errors = new Set<number>();
      for (let j = 0; j < count; j++) errors.add((await client.reply()).error);
      test.same(errors, new Set([EIO]), 'every read is answered');
    }
    const lines = await daemon.waitForLines(/read of 4096 bytes/);
    test.match(
      lines[0],
      /"sick".*\/disk\/nbd: read of 4096 bytes at \d+: no answer within 3 s; check/,
    );
    const stuck = await daemon.waitForLines(/disk\/nbd: \d+ threads have waited/);
    test.match(stuck[0], /waited for it for \d+ s: check the disk.*exports that need it: "sick"/);
    const { stdout, code } = await runDaemon(['status', '--state', state]);
    test.equal(code, 0);
    test.match(
      stdout,
      /stuck: .*disk\/nbd: \d+ threads? ha(?:s|ve) waited for it for \d+ s; exports that need it: "sick"/,
    );

    disk.resume();
    await daemon.waitForLines(/disk\/nbd: the threads that waited for it have come back/);
    const again = await sick.read(9 * MIB, 4096);
    test.ok(
      again.equals(sickBytes.subarray(9 * MIB, 9 * MIB + 4096)),
      'the next try reads the block',
    );
    for (const client of [...clients, late, named]) client.destroy();
    await daemon.stop(test);
  });
}

await t.test('SIGTERM ends the daemon although the disk does not answer', async (test) => {
  if (!requireStallableDisk(test)) return;
  const { daemon, disk, metrics } = await start(test, 2);
  const sick = await RawNbdClient.open(daemon.unix, 'sick');
  await disk.stall();
  sick.request({ offset: 5 * MIB, length: 4096 });
  await waits(metrics, 'sick');
  await daemon.stop(test);
  test.equal((await sick.reply()).error, EIO, 'the pending read was answered');
  sick.destroy();
});

await t.test('a reload with the disk ends in time, and delays no client', async (test) => {
  if (!requireStallableDisk(test)) return;
  const world = await start(test, 1);
  const { daemon, disk, state, config, good } = world;
  const folder = join(shortFolder(test), 'second');
  mkdirSync(folder);
  const second = await stallableDisk(test, folder, goodBytes);
  await second.stallFolder();
  writeFileSync(config, JSON.stringify({ exports: { good, sick: disk.path, new: second.path } }));
  const reload = runDaemon(['reload', '--state', state]);
  const client = await RawNbdClient.open(daemon.unix, 'good');
  test.ok(await readsGood(client, 300));
  test.equal((await askRaw(socketOf(state), { path: '/v1/status' })).code, 200);
  await reload;
  await daemon.waitForLines(
    /"new" is not served: .*disk\/nbd: no answer within 3 s; check the disk/,
  );
  test.ok(await readsGood(client, 10));
  client.destroy();
  // Its looks at the file are still waiting.
  await daemon.stop(test);
});

await t.test('many folders on the stalled disk do not block other files', async (test) => {
  if (!requireStallableDisk(test)) return;
  const { daemon, disk, state, config, good } = await start(test, 1);
  const folder = shortFolder(test);
  const another = join(folder, 'another.img');
  writeFileSync(another, goodBytes);
  const exports: Record<string, string> = {};
  // More than the threads that one disk may hold, each in its own folder, and more than are opened at once.
  for (let i = 0; i < 60; i++) {
    const links = join(folder, `${i}`);
    mkdirSync(links);
    symlinkSync(dirname(disk.path), join(links, 'disk'));
    symlinkSync(disk.path, join(links, 'file'));
    exports[`disk${i}`] = join(links, 'disk', 'nbd');
    exports[`file${i}`] = join(links, 'file');
  }
  await disk.stallFolder();
  const reload = async (all: Record<string, string>): Promise<void> => {
    writeFileSync(config, JSON.stringify({ exports: all }));
    test.equal((await runDaemon(['reload', '--state', state])).code, 1, 'some exports failed');
  };
  await reload({ ...exports, good });
  await daemon.waitForLines(/"disk\d+" is not served: .*nbd: no answer within 3 s/, 10);
  await reload({ ...exports, another, good });
  await daemon.waitForLines(/export "another": .*raw disk image/);
  test.same(daemon.lines(/export "good".* (?:not served|still being opened)/), []);
  for (const name of ['good', 'another']) {
    const client = await RawNbdClient.open(daemon.unix, name);
    test.ok(await readsGood(client, 10), name);
    client.destroy();
  }
  await daemon.stop(test);
});

await t.test('an upgrade meanwhile fails, and the old daemon goes on', async (test) => {
  if (!requireStallableDisk(test)) return;
  const { daemon, disk, state } = await start(test, 1);
  const good = await RawNbdClient.open(daemon.unix, 'good');
  const sick = await RawNbdClient.open(daemon.unix, 'sick');
  test.ok(await readsGood(good, 10));
  await disk.stall();
  sick.request({ offset: 5 * MIB, length: 4096 });
  await tick(100);
  const upgrade = runDaemon(['upgrade', '--state', state]);
  test.ok(await readsGood(good, 100));
  test.equal((await sick.reply()).error, EIO);
  const { code, stderr } = await upgrade;
  test.equal(code, 1, 'the new daemon cannot open the image');
  test.match(stderr, /the new daemon did not become ready.*the old one continues/);
  await daemon.waitForLines(/disk\/nbd: .*no answer within 3 s/, 2);
  test.ok(await readsGood(good, 100));
  good.destroy();
  sick.destroy();
  // Requests of the new daemon that hang in the kernel keep the pipe open.
  disk.resume();
  await daemon.stop(test);
});

await t.test('an upgrade during a read: the client continues at the new daemon', async (test) => {
  if (!requireStallableDisk(test)) return;
  const { daemon, disk, state, config, good: path } = await start(test, 1);
  const good = await RawNbdClient.open(daemon.unix, 'good');
  const sick = await RawNbdClient.open(daemon.unix, 'sick');
  await disk.stall();
  // The new daemon serves other images, so that it can start.
  writeFileSync(config, JSON.stringify({ exports: { sick: path, good: path } }));
  sick.request({ offset: 5 * MIB, length: 4096 });
  await tick(100);
  const upgrade = runDaemon(['upgrade', '--state', state]);
  test.equal((await sick.reply()).error, EIO, 'answered by the old one, at the deadline');
  const { code } = await upgrade;
  test.equal(code, 0);
  test.ok(await readsGood(good, 100));
  test.ok(await readsGood(sick, 100), 'this client too');
  const status = await askRaw(socketOf(state), { path: '/v1/status' });
  const { pid } = JSON.parse(status.body) as { pid: number };
  test.not(pid, daemon.child.pid);
  good.destroy();
  sick.destroy();
  // While the disk is stalled the old process may stay with one thread; it has released everything.
  disk.resume();
  const { child } = daemon;
  if (child.exitCode === null) await once(child, 'exit');
  test.equal(child.exitCode, 0);
  process.kill(pid, 'SIGTERM');
});

await t.test('overlayfs on the stalled disk', async (test) => {
  if (!requireStallableDisk(test)) return;
  if (process.getuid?.() !== 0)
    return void test.pass('overlayfs', { skip: 'NOT TESTED, not root' });
  const folder = shortFolder(test);
  const disk = await stallableDisk(test, folder, sickBytes);
  const [upper, work, merged] = ['upper', 'work', 'merged'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  for (const each of [upper, work, merged]) mkdirSync(each);
  const lower = join(folder, 'disk');
  const options = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
  const mounted = spawnSync('mount', ['-t', 'overlay', 'overlay', '-o', options, merged]);
  if (mounted.status !== 0) {
    return void test.pass('overlayfs', { skip: `NOT TESTED: ${mounted.stderr.toString()}` });
  }
  test.teardown(() => spawnSync('umount', ['-l', merged]));
  writeFileSync(join(folder, 'good.img'), goodBytes);
  const daemon = await DaemonProcess.start(test, [
    '--export',
    `sick=${join(merged, 'nbd')}`,
    '--export',
    `good=${join(folder, 'good.img')}`,
    '--threads',
    '1',
    '--read-deadline',
    DEADLINE,
  ]);
  const [sick, good] = await Promise.all(
    ['sick', 'good'].map((name) => RawNbdClient.open(daemon.unix, name)),
  );
  if (!good || !sick) throw new Error('no clients');
  const cached = await sick.read(MIB, 4096);
  test.ok(cached.equals(sickBytes.subarray(MIB, MIB + 4096)));
  await disk.stall();
  sick.request({ cookie: 1n, offset: 9 * MIB, length: 4096 });
  sick.request({ cookie: 2n, offset: MIB, length: 4096 });
  const at = await sick.reply();
  test.same([at.cookie, at.error], [2n, 0], 'reads from the page cache overtake');
  test.ok((await sick.take(4096)).equals(cached));
  test.ok(await readsGood(good, 300));
  test.same(await sick.reply(), { cookie: 1n, error: EIO });
  sick.destroy();
  good.destroy();
  await daemon.stop(test);
});

await t.test('the watchdog is pinged meanwhile', async (test) => {
  if (!requireStallableDisk(test)) return;
  const python = spawnSync('python3', ['-c', '']);
  if (python.status !== 0) return void test.pass('watchdog', { skip: 'NOT TESTED, no python3' });
  const folder = shortFolder(test);
  const [socket, heard] = [join(folder, 'notify'), join(folder, 'heard')];
  writeFileSync(heard, '');
  const listener = `import socket,sys
s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM); s.bind(sys.argv[1])
while True:
  open(sys.argv[2],'ab').write(s.recv(4096)+b"\\n")`;
  const { spawn } = await import('node:child_process');
  const manager = spawn('python3', ['-c', listener, socket, heard], { stdio: 'ignore' });
  test.teardown(() => manager.kill('SIGKILL'));
  for (const end = performance.now() + 120_000; !existsSync(socket); await tick(10)) {
    if (performance.now() > end) throw new Error('the listener does not listen');
  }
  const before = { ...process.env };
  Object.assign(process.env, { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '2000000' });
  let world: World;
  try {
    world = await start(test, 1);
  } finally {
    for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC']) {
      if (before[name] === undefined) delete process.env[name];
    }
  }
  const { daemon, disk } = world;
  const sick = await RawNbdClient.open(daemon.unix, 'sick');
  await disk.stall();
  sick.request({ offset: 5 * MIB, length: 4096 });
  const pulses = (): number => readFileSync(heard, 'latin1').split('WATCHDOG=1').length - 1;
  const first = pulses();
  test.equal((await sick.reply()).error, EIO);
  for (let i = 0; i < 12_000 && pulses() < first + 3; i++) await tick(10);
  test.ok(pulses() >= first + 3, `${pulses() - first} pings since`);
  sick.destroy();
  await daemon.stop(test);
});

await t.test('commands that open images end too', async (test) => {
  if (!requireStallableDisk(test)) return;
  const folder = shortFolder(test);
  const disk = await stallableDisk(test, folder, sickBytes);
  await disk.stallFolder();
  for (const command of ['inspect', 'verify']) {
    const { code, stdout, stderr } = await runDaemon([command, disk.path]);
    test.equal(code, 1, command);
    test.match(stdout + stderr, /disk\/nbd: no answer within 8 s; check the disk/);
  }
});

await t.test('a raw image that is cut while it is served is EIO, not a hole', async (test) => {
  const folder = shortFolder(test);
  const [path, out] = [join(folder, 'raw.img'), join(folder, 'out.img')];
  // Data, then nothing: after the cut, missing bytes must not be reported as a hole.
  writeFileSync(path, randomBytes(3, 4 * MIB));
  await mustRun('truncate', ['-s', '64M', path]);
  const daemon = await DaemonProcess.start(test, [path]);
  const client = await RawNbdClient.open(daemon.unix);
  test.ok(
    (await client.read(32 * MIB, 4096)).equals(Buffer.alloc(4096)),
    'a hole while the file has its length',
  );
  await mustRun('truncate', ['-s', '2M', path]);
  test.equal(await client.command({ offset: 32 * MIB, length: 4096 }), EIO);
  test.equal(await client.command({ offset: 3 * MIB, length: 4096 }), EIO);
  test.ok(await client.read(MIB, 4096), 'the remaining bytes are served');
  const copies: [string, string[]][] = [
    ['nbdcopy', [daemon.unixUri(), out]],
    ['nbdcopy', ['--no-extents', daemon.unixUri(), out]],
    ['qemu-img', ['convert', '-f', 'raw', '-O', 'raw', daemon.unixUri(), out]],
    ['nbdinfo', ['--map', daemon.unixUri()]],
  ];
  for (const [tool, args] of copies) {
    if (spawnSync(tool, ['--version']).status !== 0) {
      test.pass(tool, { skip: 'NOT TESTED, not installed' });
      continue;
    }
    const { status, stderr } = spawnSync(tool, args);
    test.not(status, 0, `${tool} ${args[0] ?? ''}: ${stderr.toString()}`);
  }
  client.destroy();
  await daemon.stop(test);
});
