// `serve --stdio`: one client on standard input and output, over one socket, two sockets, pipes, and from libnbd.
import { createHash } from 'node:crypto';
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { NBD_CMD } from '../../daemon/nbd/constants.js';
import { descriptors } from '../../daemon/native/descriptors.js';
import { sockets } from '../../daemon/native/socket.js';
import { commandLine, shortFolder } from '../support/daemon-process.js';
import { writeRaw, writeZfileLayer } from '../support/e2e-images.js';
import {
  RawNbdClient,
  clientFlags,
  requestBytes,
  tick,
  wholeSession,
} from '../support/nbd-client.js';
import { nbdsh, requireNbdsh } from '../support/nbdsh.js';
import { requireTool, runTool } from '../support/tools.js';

t.setTimeout(900_000);

const SIZE = 17_579 * 512;
const folder = shortFolder(t);
const image = join(folder, 'raw.img');
const raw = writeRaw(image, 21, SIZE);

interface Served {
  child: ChildProcess;
  exited: Promise<{ code: number | null; stderr: string }>;
}

/** `serve --stdio` with these descriptors as 0 and 1. */
function serve(test: Test, input: number, output: number, ...args: string[]): Served {
  const [program, ...rest] = commandLine(['serve', '--stdio', image, ...args]);
  const child = spawn(program, rest, { stdio: [input, output, 'pipe'] });
  test.teardown(() => child.kill('SIGKILL'));
  const parts: Buffer[] = [];
  child.stderr?.on('data', (part: Buffer) => parts.push(part));
  const exited = new Promise<{ code: number | null; stderr: string }>((resolve) => {
    child.once('close', (code) => resolve({ code, stderr: Buffer.concat(parts).toString() }));
  });
  return { child, exited };
}

/** Over one socket in both directions, as inetd and libnbd do it. */
function overSocket(test: Test, ...args: string[]): Served & { client: RawNbdClient } {
  const [theirs, ours] = sockets.pair();
  const served = serve(test, theirs, theirs, ...args);
  descriptors.close(theirs);
  return { ...served, client: RawNbdClient.over(new Socket({ fd: ours, allowHalfOpen: true })) };
}

await t.test('one socket: served, with nothing on standard error', async (test) => {
  const { client, exited } = overSocket(test);
  await client.handshake();
  await client.go();
  for (const [offset, length] of [
    [0, 5],
    [SIZE - 5_000_000, 5_000_000],
  ] as const) {
    const data = await client.read(offset, length);
    test.ok(data.equals(raw.subarray(offset, offset + length)));
  }
  client.request({ type: NBD_CMD.DISC });
  test.equal(await client.ended(), 'end', 'no copy of the socket stays open');
  test.same(await exited, { code: 0, stderr: '' });
  client.destroy();
});

await t.test('clients that hang up, break the protocol, or abort the handshake', async (test) => {
  const ends: ((client: RawNbdClient) => Promise<void> | void)[] = [
    (client) => client.destroy(),
    (client) => client.send(clientFlags(0xffff)),
    async (client) => {
      await client.handshake();
      client.option(2);
    },
    async (client) => {
      await client.handshake();
      await client.go();
      client.request({ magic: 1 });
    },
  ];
  for (const end of ends) {
    const { client, exited } = overSocket(test, '--log-level', 'info');
    await end(client);
    const { code, stderr } = await exited;
    test.equal(code, 0);
    test.match(stderr, /ready: standard input and output\n/);
    test.match(stderr, /connection 1 closed: [^\n]+\n[^\n]+the client is done/);
    test.match(stderr, /stopped\n$/);
    client.destroy();
  }
});

await t.test('SIGTERM ends it like any daemon', async (test) => {
  const { client, child, exited } = overSocket(test);
  await client.handshake();
  await client.go();
  test.ok((await client.read(7, 7)).equals(raw.subarray(7, 14)));
  child.kill('SIGTERM');
  test.equal(await client.ended(), 'end');
  client.destroy();
  test.match(await exited, { code: 0 });
});

await t.test('two sockets are served', async (test) => {
  const [input, toInput] = sockets.pair();
  const [output, fromOutput] = sockets.pair();
  const { exited } = serve(test, input, output);
  for (const fd of [input, output]) descriptors.close(fd);
  const writer = new Socket({ fd: toInput, readable: false, writable: true });
  const reader = RawNbdClient.over(new Socket({ fd: fromOutput, allowHalfOpen: true }));
  writer.end(wholeSession('', 1000, 8_000_000));
  const all = await reader.takeRest();
  test.ok(all.subarray(-8_000_000).equals(raw.subarray(1000, 8_001_000)));
  test.match(await exited, { code: 0, stderr: '' });
  for (const each of [writer, reader]) each.destroy();
});

await t.test('two pipes, and a client that stays after NBD_CMD_DISC', async (test) => {
  if (!requireTool(test, 'sh', 'sleep', 'cat')) return;
  const session = join(folder, 'session');
  writeFileSync(session, wholeSession('', 1000, 8_000_000));
  const line = commandLine(['serve', '--stdio', image]);
  for (const before of ['cat "$0"', '{ cat "$0"; sleep 2; }']) {
    const out = openSync(join(folder, 'out'), 'w');
    // cat makes the daemon's standard output a pipe.
    const script = `set -o pipefail; ${before} | "$@" | cat`;
    const child = spawn('bash', ['-c', script, session, ...line], {
      stdio: ['ignore', out, 'pipe'],
    });
    const code = await new Promise((resolve) => {
      child.once('close', resolve);
    });
    closeSync(out);
    test.ok(code === 0 || code === 141, `exit codes of all three: ${String(code)}`);
    const all = readFileSync(join(folder, 'out'));
    test.ok(all.subarray(-8_000_000).equals(raw.subarray(1000, 8_001_000)));
  }
});

await t.test('a reader that closes its pipe during a reply', async (test) => {
  if (!requireTool(test, 'bash', 'head')) return;
  const session = join(folder, 'session');
  writeFileSync(
    session,
    Buffer.concat([
      wholeSession('', 0, 8_000_000).subarray(0, -28),
      requestBytes({ length: 8_000_000 }),
    ]),
  );
  const line = commandLine(['serve', '--stdio', image, '--log-level', 'info']);
  const script = '{ cat "$0"; sleep 5; } | { "$@"; echo "code $?" >&2; } | head -c 1000 >/dev/null';
  const { stderr } = await runTool('bash', ['-c', script, session, ...line]);
  test.match(stderr, /code 0\n/);
  test.match(stderr, /stopped\n/);
});

await t.test('descriptors that are not a connection are refused', async (test) => {
  const file = openSync(image, 'r');
  const null0 = openSync('/dev/null', 'r+');
  const [socket, other] = sockets.pair();
  const cases: [number, number, RegExp][] = [
    [
      file,
      null0,
      /^overlaybd-nbd: --stdio: standard input \(descriptor 0\) is \/.*raw\.img, neither a socket nor a pipe\n/,
    ],
    [null0, null0, /standard input \(descriptor 0\) is \/dev\/null, neither a socket nor a pipe\n/],
    [null0, socket, /standard input \(descriptor 0\) is \/dev\/null/],
  ];
  for (const [input, output, message] of cases) {
    const { code, stderr } = await serve(test, input, output).exited;
    test.equal(code, 2);
    test.match(stderr, message);
  }
  // If standard input is a socket, standard output is not used.
  const half = serve(test, socket, null0);
  descriptors.close(socket);
  const client = RawNbdClient.over(new Socket({ fd: other, allowHalfOpen: true }));
  await client.handshake();
  await client.go();
  test.ok((await client.read(0, 9)).equals(raw.subarray(0, 9)));
  client.destroy();
  test.match(await half.exited, { code: 0 });
  for (const fd of [file, null0]) closeSync(fd);
});

await t.test('an image that does not exist: the client sees the end', async (test) => {
  const [theirs, ours] = sockets.pair();
  const [program, ...rest] = commandLine(['serve', '-s', '/no/such/image']);
  const child = spawn(program, rest, { stdio: [theirs, theirs, 'pipe'] });
  descriptors.close(theirs);
  const client = RawNbdClient.over(new Socket({ fd: ours, allowHalfOpen: true }));
  const code = new Promise((resolve) => {
    child.once('close', resolve);
  });
  test.equal((await client.takeRest()).length, 0);
  client.destroy();
  test.equal(await code, 1);
});

await t.test('options without effect are refused with --stdio', async (test) => {
  for (const args of [
    ['--listen', 'tcp://127.0.0.1:0'],
    ['--socket-mode', '0600'],
    ['--allow-user', '0'],
  ]) {
    const [socket, other] = sockets.pair();
    const { code, stderr } = await serve(test, socket, socket, ...args).exited;
    test.equal(code, 2);
    test.match(stderr, /stdio and .* are mutually exclusive/);
    for (const fd of [socket, other]) descriptors.close(fd);
  }
});

await t.test("libnbd's connect_command works", async (test) => {
  if (!(await requireNbdsh(test))) return;
  const line = JSON.stringify(commandLine(['serve', '--stdio', image]));
  const answer = await nbdsh<unknown>(`
h.connect_command(${line})
data = h.pread(100000, 4321)
answer([h.get_size(), h.is_read_only(), hashlib.sha256(data).hexdigest()])
h.shutdown()
`);
  const want = createHash('sha256').update(raw.subarray(4321, 104_321)).digest('hex');
  test.same(answer, [SIZE, true, want]);
});

/** Running processes with this word in their command line. */
function processesOf(word: string): number[] {
  return readdirSync('/proc').flatMap((pid) => {
    try {
      const line = /^\d+$/.test(pid) ? readFileSync(`/proc/${pid}/cmdline`, 'latin1') : '';
      return line.split('\0').includes(word) ? [Number(pid)] : [];
    } catch {
      return [];
    }
  });
}

await t.test('a tool that fails leaves no server process', async (test) => {
  if (!requireTool(test, 'nbdcopy')) return;
  const bad = join(folder, 'bad.zfile');
  writeZfileLayer(bad, 5, 4 << 20);
  const bytes = readFileSync(bad);
  const middle = bytes.length >> 1;
  bytes.fill(0xff, middle, middle + 20_000);
  writeFileSync(bad, bytes);
  test.teardown(() => {
    for (const pid of processesOf(bad)) process.kill(pid, 'SIGKILL');
  });
  const line = ['[', ...commandLine(['serve', '-s', bad]), ']'];
  // While it copies, before it begins, and during the start of the server.
  for (const [target, limit] of [
    [join(folder, 'copy.img'), '20'],
    ['/no/such/folder/copy.img', '20'],
    [join(folder, 'copy.img'), '0.03'],
  ] as const) {
    const copy = ['nbdcopy', '--', ...line, target];
    const { code } = await runTool('timeout', ['--signal=KILL', limit, ...copy]);
    test.not(code, 0, `nbdcopy to ${target}`);
    for (const end = Date.now() + 120_000; Date.now() < end && processesOf(bad).length > 0;) {
      await tick(50);
    }
    test.same(processesOf(bad), []);
  }
});

await t.test('nbdinfo and nbdcopy start the server from a command in brackets', async (test) => {
  if (!requireTool(test, 'nbdinfo', 'nbdcopy')) return;
  const copy = join(folder, 'copy.img');
  for (const how of [['-s'], []]) {
    const line = ['[', ...commandLine(['serve', ...how, image]), ']'];
    const info = await runTool('nbdinfo', ['--json', '--', ...line]);
    test.equal(info.code, 0, info.stderr);
    test.match(JSON.parse(info.stdout), { exports: [{ 'export-size': SIZE }] });
    const copied = await runTool('nbdcopy', ['--', ...line, copy]);
    test.equal(copied.code, 0, copied.stderr);
    test.ok(readFileSync(copy).subarray(0, SIZE).equals(raw));
    rmSync(copy);
  }
});
