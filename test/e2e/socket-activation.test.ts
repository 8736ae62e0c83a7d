// Sockets that are passed to the daemon (LISTEN_FDS): used, named, and refused if they are invalid.
import { closeSync, lstatSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { connect } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { descriptors } from '../../daemon/native/descriptors.js';
import { sockets } from '../../daemon/native/socket.js';
import {
  DaemonProcess,
  activatedLine,
  commandLine,
  shortFolder,
} from '../support/daemon-process.js';
import { writeRaw } from '../support/e2e-images.js';
import { RawNbdClient } from '../support/nbd-client.js';
import { nbdsh, requireNbdsh } from '../support/nbdsh.js';
import { requireTool, runTool } from '../support/tools.js';

t.setTimeout(900_000);

const SIZE = 3_000_000;
const folder = shortFolder(t);
const image = join(folder, 'raw.img');
const raw = writeRaw(image, 22, SIZE);

/** A listening TCP socket. */
function tcpSocket(test: Test): { fd: number; port: number } {
  const fd = sockets.listenTcp('127.0.0.1', 0, 16);
  test.teardown(() => descriptors.close(fd));
  return { fd, port: sockets.localPort(fd) };
}

function unixSocket(test: Test, name: string): { fd: number; path: string } {
  const path = join(folder, name);
  const fd = sockets.listenUnix(path, 16);
  test.teardown(() => descriptors.close(fd));
  return { fd, path };
}

async function sees(test: Test, to: { path: string } | { port: number }): Promise<void> {
  const client = await RawNbdClient.open('path' in to ? to : { ...to, host: '127.0.0.1' });
  test.ok((await client.read(1000, 5000)).equals(raw.subarray(1000, 6000)), JSON.stringify(to));
  await client.disconnect();
}

/** Runs the program to its end with descriptors from 3 on and these variables. */
function refusedWith(
  fds: readonly number[],
  variables: Record<string, string>,
  ...args: string[]
): Promise<{ code: number | null; stderr: string }> {
  const [program, ...rest] = activatedLine(commandLine(['serve', image, ...args]), variables);
  const child = spawn(program, rest, { stdio: ['ignore', 'ignore', 'pipe', ...fds] });
  const parts: Buffer[] = [];
  child.stderr?.on('data', (part: Buffer) => parts.push(part));
  return new Promise((resolve) => {
    child.once('close', (code) => resolve({ code, stderr: Buffer.concat(parts).toString() }));
  });
}

await t.test('passed sockets replace the default address', async (test) => {
  const tcp = tcpSocket(test);
  const unix = unixSocket(test, 'named.sock');
  const fds = [tcp.fd, unix.fd];
  const daemon = await DaemonProcess.start(test, [image], {
    inherit: { fds, names: 'web:local' },
    elsewhere: 2,
  });
  test.equal(daemon.lines(/ready: /).length, 2, 'no other address is listened on');
  test.match(daemon.log, `ready: nbd://127.0.0.1:${tcp.port} (socket "web")\n`);
  // Under the name that the kernel has for it, from before its path.
  test.match(
    daemon.log,
    /ready: nbd\+unix:\/\/\/\?socket=\S+\/named\.sock\S* \(socket "local"\)\n/,
  );
  await sees(test, { port: tcp.port });
  await sees(test, { path: unix.path });
  const flags = [3, 4].map(
    (fd) =>
      readFileSync(`/proc/${daemon.child.pid}/fdinfo/${fd}`, 'latin1').match(/flags:\s*(\d+)/)?.[1],
  );
  for (const each of flags) test.equal(Number.parseInt(each ?? '', 8) & 0o2004000, 0o2004000);
  await daemon.stop(test);
  test.ok(lstatSync(unix.path).isSocket(), 'the process that made the socket removes it');
  const waiting = connect(unix.path);
  test.teardown(() => waiting.destroy());
});

await t.test('passed sockets are used besides those of the command line', async (test) => {
  const tcp = tcpSocket(test);
  const daemon = await DaemonProcess.start(test, [image], { inherit: { fds: [tcp.fd] } });
  test.match(daemon.log, `ready: nbd://127.0.0.1:${tcp.port} (socket "unknown")\n`);
  await sees(test, { port: tcp.port });
  await sees(test, { path: daemon.socketPath });
  await daemon.stop(test);
});

await t.test('fd:// gives a passed socket its own exports', async (test) => {
  const config = join(folder, 'daemon.json');
  const exports = { one: 'raw.img', two: 'raw.img' };
  writeFileSync(
    config,
    JSON.stringify({ exports, listen: [{ address: 'fd://web', exports: ['two'] }] }),
  );
  const [web, other] = [unixSocket(test, 'web.sock'), unixSocket(test, 'other.sock')];
  const daemon = await DaemonProcess.start(test, ['--config', config], {
    inherit: { fds: [other.fd, web.fd], names: 'other:web' },
    elsewhere: 2,
  });
  for (const [{ path }, names] of [
    [web, ['two']],
    [other, ['one', 'two']],
  ] as const) {
    const client = await RawNbdClient.connect({ path });
    await client.handshake();
    test.same(await client.list(), names);
    client.destroy();
  }
  await daemon.stop(test);

  const none = await refusedWith(
    [other.fd],
    { LISTEN_FDS: '1', LISTEN_FDNAMES: 'other' },
    '-c',
    config,
  );
  test.match(none, { code: 2, stderr: /fd:\/\/web: no socket of that name/ });
});

await t.test('sockets that were passed to another process are ignored', async (test) => {
  const tcp = tcpSocket(test);
  const listen = ['--listen', `unix://${folder}/own.sock`];
  const [program, ...rest] = commandLine(['serve', image, ...listen]);
  const child = spawn(program, rest, {
    stdio: ['ignore', 'ignore', 'pipe', tcp.fd],
    env: { ...process.env, LISTEN_PID: '1', LISTEN_FDS: '999999', LISTEN_FDNAMES: 'x' },
  });
  test.teardown(() => child.kill('SIGKILL'));
  const ready = await new Promise<string>((resolve) => {
    let log = '';
    child.stderr?.on('data', (part: Buffer) => {
      log += part.toString();
      if (log.includes('own.sock\n')) resolve(log);
    });
  });
  test.equal(ready.match(/ready: /g)?.length, 1);
  child.kill('SIGTERM');
  await new Promise((resolve) => {
    child.once('close', resolve);
  });
});

await t.test('descriptors that are not listening sockets, and wrong variables', async (test) => {
  const tcp = tcpSocket(test);
  const file = openSync('/dev/null', 'r');
  const [connected, peer] = sockets.pair();
  test.teardown(() => {
    closeSync(file);
    descriptors.close(connected);
    descriptors.close(peer);
  });
  const cases: [number[], Record<string, string>, RegExp][] = [
    [[tcp.fd], { LISTEN_FDS: '999999' }, /LISTEN_FDS: "999999" is above 256\n/],
    [[tcp.fd], { LISTEN_FDS: '-1' }, /LISTEN_FDS: "-1" is not a number\n/],
    [[tcp.fd, file], { LISTEN_FDS: '2' }, /descriptor 4 \("unknown"\) is not a socket\n/],
    [[tcp.fd], { LISTEN_FDS: '200' }, /descriptor \d+ \("unknown"\) is (not a socket|not open)\n/],
    [
      [tcp.fd, connected],
      { LISTEN_FDS: '2', LISTEN_FDNAMES: 'a:b' },
      /descriptor 4 \("b"\) does not listen \(it needs Accept=no\)\n/,
    ],
    [[tcp.fd], { LISTEN_FDS: '1', LISTEN_FDNAMES: 'a:b' }, /"a:b" has 2 names for 1 sockets\n/],
    [[tcp.fd], { LISTEN_FDS: '1', LISTEN_FDNAMES: 'a\u001b[2J:b' }, /"a\\u001b\[2J:b" has 2 names/],
  ];
  for (const [fds, variables, message] of cases) {
    const { code, stderr } = await refusedWith(fds, variables);
    test.equal(code, 2, JSON.stringify(variables));
    test.match(stderr, message);
    test.notMatch(stderr, /ready|\.js:\d+/);
  }
  const users = await refusedWith([tcp.fd], { LISTEN_FDS: '1' }, '--allow-user', '0');
  test.match(users, {
    code: 2,
    stderr: /descriptor 3 .*is not a Unix socket, so connecting users cannot be identified/,
  });
});

await t.test("libnbd's connect_systemd_socket_activation works", async (test) => {
  if (!(await requireNbdsh(test))) return;
  const line = JSON.stringify(commandLine(['serve', image]));
  const size = await nbdsh<number>(`
if hasattr(h, "set_socket_activation_name"): h.set_socket_activation_name("from-libnbd")
h.connect_systemd_socket_activation(${line})
assert len(h.pread(1000, 0)) == 1000
answer(h.get_size())
`);
  test.equal(size, SIZE);
});

await t.test('systemd-socket-activate works', async (test) => {
  if (!requireTool(test, 'systemd-socket-activate', 'nbdinfo')) return;
  const path = join(folder, 'systemd.sock');
  const line = commandLine(['serve', image]);
  const child = spawn('systemd-socket-activate', ['-l', path, '--fdname=by-systemd', ...line], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  test.teardown(() => child.kill('SIGKILL'));
  let log = '';
  child.stderr.on('data', (part: Buffer) => {
    log += part.toString();
  });
  for (let i = 0; i < 4800 && !log.includes('Listening on'); i++) {
    await new Promise((resolve) => {
      setTimeout(resolve, 25);
    });
  }
  const { code, stdout, stderr } = await runTool('nbdinfo', [
    '--size',
    `nbd+unix:///?socket=${path}`,
  ]);
  test.match({ code, stdout }, { code: 0, stdout: `${SIZE}\n` }, stderr);
  child.kill('SIGTERM');
  const ended = await new Promise((resolve) => {
    child.once('close', resolve);
  });
  test.equal(ended, 0);
  test.match(log, /ready: nbd\+unix:.*systemd\.sock \(socket "by-systemd"\)\n/);
});

await t.test("the project's socket units work with systemd-socket-activate", async (test) => {
  if (!requireTool(test, 'systemd-analyze')) return;
  const units = new URL('../../../systemd/', import.meta.url);
  const names = ['overlaybd-nbd.socket', 'overlaybd-nbd.service'];
  for (const name of names) {
    // The program may not be installed here, and the page that is named may not either.
    const text = readFileSync(new URL(name, units), 'utf8');
    writeFileSync(join(folder, name), text.replaceAll('/usr/bin/overlaybd-nbd', '/bin/true'));
  }
  const paths = names.map((name) => join(folder, name));
  const { code, stderr } = await runTool('systemd-analyze', ['verify', '--man=no', ...paths]);
  test.match({ code, stderr: stderr.trim() }, { code: 0, stderr: '' });
});
