// `overlaybd-nbd attach-helper` as a process: permissions, its end, and a kernel that refuses. With real devices:
// test/kernel.
import { chmodSync, existsSync, statSync } from 'node:fs';
import { spawn, type ChildProcess } from 'node:child_process';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { HelperDriver } from '../../daemon/kernel/helper-driver.js';
import { MessageChannel } from '../../daemon/ipc/message-channel.js';
import { descriptors } from '../../daemon/native/descriptors.js';
import { sockets } from '../../daemon/native/socket.js';
import { activatedLine, commandLine, runDaemon, shortFolder } from '../support/daemon-process.js';
import { tick } from '../support/nbd-client.js';

t.setTimeout(900_000);
const owner = { backend: 'overlaybd-nbd:0123456789abcdef', kernelPid: null };
/** More than any machine has. */
const INDEX = 65_000;

interface Helper {
  child: ChildProcess;
  socket: string;
  log: () => string;
  ended: Promise<number | null>;
}

function run(test: Test, line: readonly string[], socket: string, fds: number[] = []): Helper {
  const [program = '', ...args] = line;
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe', ...fds] });
  let log = '';
  child.stderr?.on('data', (part: Buffer) => (log += part.toString()));
  test.teardown(() => child.kill('SIGKILL'));
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  return { child, socket, log: () => log, ended };
}

async function start(test: Test, ...args: string[]): Promise<Helper> {
  const socket = join(shortFolder(test), 'helper');
  const helper = run(test, commandLine(['attach-helper', '--socket', socket, ...args]), socket);
  await until(() => existsSync(socket));
  return helper;
}

async function until(isSo: () => boolean): Promise<void> {
  for (const end = performance.now() + 120_000; !isSo(); await tick(10)) {
    if (performance.now() > end) throw new Error('it did not come in time');
  }
}

await t.test('root gets an answer, and SIGTERM ends the helper', async (test) => {
  const { child, socket, log, ended } = await start(test);
  test.equal(
    statSync(socket).mode & 0o777,
    0o666,
    'any user can connect: permission depends on the user',
  );
  const driver = new HelperDriver(socket);
  const refused = {
    code: 'DEVICE',
    message: /\/dev\/nbd65000: it is not connected as overlaybd-nbd:/,
  };
  await test.rejects(driver.disconnect(INDEX, owner), refused);
  await test.rejects(driver.reconfigure(INDEX, owner, []), refused);
  await test.rejects(driver.disconnectOnClose(INDEX, owner), refused);
  const pair = sockets.pair();
  const asked = driver.connect(
    {
      index: INDEX,
      size: 4096,
      blockSize: 512,
      timeoutSeconds: 1,
      deadConnTimeoutSeconds: 1,
      serverFlags: 3,
      backend: owner.backend,
    },
    pair,
  );
  await test.rejects(asked, { code: /NO_KERNEL|NOT_FOUND|PERMISSION|IO/ });
  pair.forEach((fd) => descriptors.close(fd));
  child.kill('SIGTERM');
  test.equal(await ended, 0);
  const errors = log().match(/^\S+Z error: pid \d+ uid \d+: .*$/gm) ?? [];
  test.equal(errors.length, 3, log());
  test.match(errors[2], /not connected as .* \(2 more times since the last such line\)$/);
  test.notOk(existsSync(socket));
  driver.close();
  test.notMatch(log(), /\.js:\d+/);
});

await t.test('hostile bytes end one connection, not the helper', async (test) => {
  const { child, socket, log, ended } = await start(test);
  for (const bytes of [
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    Buffer.alloc(8, 0xff),
    Buffer.alloc(8),
  ]) {
    const fd = sockets.connectUnix(socket);
    sockets.send(fd, bytes, 0, bytes.length);
    await until(() => sockets.peerClosed(fd) === 1);
    descriptors.close(fd);
  }
  const answers: unknown[] = [];
  const channel = new MessageChannel(sockets.connectUnix(socket), {
    message: (message) => answers.push(message),
    closed: () => undefined,
  });
  channel.send({ do: 'disconnect', index: 0, owner: { backend: 'qemu', kernelPid: null } });
  await until(() => answers.length === 1);
  test.match(answers, [{ ok: false, code: 'PROTOCOL', message: /owner\.backend/ }]);
  channel.close();
  child.kill('SIGINT');
  test.equal(await ended, 0);
  test.equal(log().match(/^\S+Z warn: .*message channel/gm)?.length, 3, log());
});

await t.test('a user without permission is refused, an allowed one is not', async (test) => {
  if (process.getuid?.() !== 0) {
    test.pass('needs root', { skip: 'needs root' });
    return;
  }
  const asNobody = `const { connect } = require('node:net');
    const body = Buffer.from(JSON.stringify({ do: 'nothing' }));
    const head = Buffer.alloc(8); head.writeUInt32LE(body.length);
    const c = connect(process.argv[1]); c.on('error', (e) => console.log(e.code));
    c.write(Buffer.concat([head, body]));
    c.on('data', (d) => { console.log(d.subarray(8).toString()); c.end(); });
    c.on('close', () => console.log('closed'));`;
  const ask = async (socket: string): Promise<string> => {
    const line = ['--reuid=65534', '--regid=65534', '--clear-groups', process.execPath, '-e'];
    const child = spawn('setpriv', [...line, asNobody, socket], {
      env: { PATH: process.env['PATH'] ?? '' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let out = '';
    child.stdout.on('data', (part: Buffer) => (out += part.toString()));
    await new Promise((resolve) => child.once('close', resolve));
    return out;
  };
  const strict = await start(test);
  chmodSync(dirname(strict.socket), 0o755);
  test.notMatch(await ask(strict.socket), /ok/);
  await until(() => /^\S+Z warn: pid \d+ uid 65534: refused.*--allow-user/m.test(strict.log()));
  const open = await start(test, '--allow-user', '65534');
  chmodSync(dirname(open.socket), 0o755);
  test.match(await ask(open.socket), /PROTOCOL/);
  for (const { child, ended } of [strict, open]) {
    child.kill('SIGTERM');
    test.equal(await ended, 0);
  }
});

await t.test('a socket that was passed to the helper stays', async (test) => {
  const socket = join(shortFolder(test), 'helper');
  const fd = sockets.listenUnix(socket, 10);
  test.teardown(() => descriptors.close(fd));
  const line = activatedLine(commandLine(['attach-helper']), { LISTEN_FDS: '1' });
  const { child, ended } = run(test, line, socket, [fd]);
  const driver = new HelperDriver(socket);
  await test.rejects(driver.disconnect(INDEX, owner), { message: /not connected as/ });
  child.kill('SIGTERM');
  test.equal(await ended, 0);
  driver.close();
  test.ok(existsSync(socket), 'the service manager removes it');
});

await t.test('errors on the command line', async (test) => {
  const cases: [string[], number, RegExp][] = [
    [['--allow-user', 'nobody-of-that-name'], 1, /nobody-of-that-name/],
    [['--socket', '/no/such/folder/s'], 1, /\/no\/such\/folder/],
    [['--nonsense'], 2, /nonsense/],
  ];
  for (const [args, code, message] of cases) {
    const result = await runDaemon(['attach-helper', ...args]);
    test.equal(result.code, code, args.join(' '));
    test.match(result.stderr, message);
  }
});
