// Nobody can inject code into the installed program: SIGUSR1 and --inspect open no inspector, and the environment
// cannot choose an addon.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createConnection, createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { ControlClient } from '../../daemon/control/client.js';
import { socketOf, waitForControl } from '../support/control.js';
import { shortFolder } from '../support/daemon-process.js';
import { writeRaw } from '../support/e2e-images.js';

/** The program as installed, also when coverage is measured. */
const INSTALLED = fileURLToPath(new URL('../../bundle/main.js', import.meta.url));

t.setTimeout(900_000);
const folder = shortFolder(t);
const image = join(folder, 'disk.img');
writeRaw(image, 5, 1 << 20);

interface Program {
  readonly child: ChildProcess;
  readonly ended: Promise<{ code: number | null; signal: string | null }>;
  said(): string;
}

/** @param settings of the environment, without those that measure coverage, which has its own debugger */
function start(
  test: Test,
  args: readonly string[],
  environment: NodeJS.ProcessEnv,
  settings: readonly string[] = [],
): Program {
  const child = spawn('env', [...settings, process.execPath, INSTALLED, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_OPTIONS: '', ...environment },
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (part: Buffer) => (said += part.toString()));
  }
  const ended = once(child, 'exit').then(([code, signal]) => ({ code, signal }) as never);
  test.teardown(() => child.kill('SIGKILL'));
  return { child, ended, said: () => said };
}

function serveArgs(name: string): string[] {
  const listen = `unix://${join(folder, `${name}.sock`)}`;
  return ['serve', image, '--listen', listen, '--state', join(folder, name)];
}

/** A port that no process uses. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = createConnection(port, '127.0.0.1');
    connection.once('connect', () => resolve(true));
    connection.once('error', () => resolve(false));
    connection.once('connect', () => connection.destroy());
  });
}

async function until(isDone: () => boolean | Promise<boolean>): Promise<boolean> {
  for (const end = Date.now() + 120_000; Date.now() < end; await pause(10)) {
    if (await isDone()) return true;
  }
  return false;
}

await t.test('SIGUSR1 at any moment of a start opens no inspector', async (test) => {
  const port = await freePort();
  const environment = { NODE_OPTIONS: `--inspect-port=127.0.0.1:${port}` };
  let survived = 0;
  // On a busy machine Node has its handler later: then later signals are tried until a daemon survives.
  for (
    let after = 0;
    after < 120 || (survived === 0 && after < 6000);
    after += after < 120 ? 6 : 300
  ) {
    const daemon = start(test, serveArgs(`early${after}`), environment);
    await pause(after);
    daemon.child.kill('SIGUSR1');
    let isGone = false;
    const gone = daemon.ended.then(() => (isGone = true));
    const ready = until(() => isGone || /ready: /.test(daemon.said()));
    if (await Promise.race([gone, ready.then(() => false)])) {
      // Before Node.js has its handler, the system's default action ends the process.
      test.match(await daemon.ended, { code: null, signal: 'SIGUSR1' }, `after ${after} ms`);
      continue;
    }
    survived++;
    const shut = await until(async () => !(await isOpen(port)));
    test.ok(shut, `after ${after} ms: the port is closed`);
    daemon.child.kill('SIGTERM');
    await daemon.ended;
  }
  test.ok(survived > 0);
});

await t.test('SIGUSR1 to a daemon, its successor and the attach helper', async (test) => {
  const port = await freePort();
  const environment = { NODE_OPTIONS: `--inspect-port=127.0.0.1:${port}` };
  const state = join(folder, 'running');
  const daemon = start(test, serveArgs('running'), environment);
  const socket = join(folder, 'helper.sock');
  const helper = start(test, ['attach-helper', '--socket', socket], environment);
  test.ok(await until(() => /ready: /.test(daemon.said())));
  await waitForControl(socketOf(state));
  const control = new ControlClient(socketOf(state));
  // The helper prints nothing when it starts.
  test.ok(await until(() => existsSync(socket)));
  const successor = await control.upgrade();
  test.teardown(() => process.kill(successor, 'SIGKILL'));
  test.match(await daemon.ended, { code: 0 });
  for (const pid of [helper.child.pid ?? 0, successor]) process.kill(pid, 'SIGUSR1');
  await pause(700);
  test.notOk(await isOpen(port));
  test.equal((await control.status()).pid, successor);
  test.notMatch(daemon.said() + helper.said(), /Debugger listening/);
  helper.child.kill('SIGTERM');
  test.match(await helper.ended, { code: 0 });
});

await t.test('--inspect is refused', async (test) => {
  const port = await freePort();
  for (const flag of ['--inspect', `--inspect=127.0.0.1:${port}`]) {
    const options = `--inspect-port=127.0.0.1:${port} ${flag}`;
    const command = start(test, serveArgs('inspected'), {}, [`NODE_OPTIONS=${options}`]);
    test.match(await command.ended, { code: 1 }, flag);
    test.match(command.said(), /overlaybd-nbd: .*does not run with --inspect/);
  }
});

await t.test('the addon is always the installed one', async (test) => {
  const environment = { OVERLAYBD_NBD_ADDON: join(folder, 'no-such-addon.node') };
  const command = start(test, ['--version'], environment);
  test.match(await command.ended, { code: 0 });
  test.match(command.said(), /lz4: /);
});
