// Access rules: the exports and users of a listener, socket modes, limits for peers, and all kinds of addresses.
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { networkInterfaces, userInfo } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { NBD_INFO, NBD_OPT } from '../../daemon/nbd/constants.js';
import { EAFNOSUPPORT } from '../../daemon/lib/errno.js';
import { descriptors } from '../../daemon/native/descriptors.js';
import { VSOCK_CID_ANY, sockets } from '../../daemon/native/socket.js';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { writeRaw } from '../support/e2e-images.js';
import { RawNbdClient } from '../support/nbd-client.js';
import { nbdsh, requireNbdsh } from '../support/nbdsh.js';
import { requireTool, runTool } from '../support/tools.js';

t.setTimeout(900_000);

const SIZE = 3_000_000;
const folder = shortFolder(t);
const image = join(folder, 'raw.img');
const raw = writeRaw(image, 23, SIZE);
const { uid, username } = userInfo();
const at = (name: string): { path: string } => ({ path: join(folder, name) });

/** Opens the export "one" and disconnects. Node.js itself has no vsock. */
const VSOCK_CLIENT = `
import socket, struct, sys
s = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
s.settimeout(3)
try:
    s.connect((1, int(sys.argv[1])))
except OSError as error:
    print("no loopback", error)
    sys.exit(0)
def take(n):
    data = b""
    while len(data) < n:
        part = s.recv(n - len(data))
        assert part, "the end"
        data += part
    return data
assert take(18)[:8] == b"NBDMAGIC"
s.sendall(struct.pack(">I", 3) + b"IHAVEOPT" + struct.pack(">III", 6, 9, 3) + b"one" + struct.pack(">H", 0))
size = 0
while True:
    magic, option, kind, length = struct.unpack(">QIII", take(20))
    data = take(length)
    if kind == 1: break
    assert kind == 3, kind
    if data[:2] == bytes(2): size = struct.unpack(">Q", data[2:10])[0]
assert size == int(sys.argv[2]), size
s.sendall(b"IHAVEOPT" + struct.pack(">II", 2, 0))
take(20)
`;

/** A daemon with the listeners of a configuration; every listener has to become ready. */
function configured(test: Test, listen: readonly unknown[]): Promise<DaemonProcess> {
  const config = join(folder, 'daemon.json');
  const exports = { one: 'raw.img', two: 'raw.img', three: ['raw.img'] };
  writeFileSync(config, JSON.stringify({ exports, listen }));
  return DaemonProcess.start(test, ['--config', config], { elsewhere: listen.length });
}

async function listed(to: { path: string }): Promise<string[]> {
  const client = await RawNbdClient.connect(to);
  await client.handshake();
  const names = await client.list();
  client.destroy();
  return names;
}

/** Whether the daemon sends its greeting, or closes the connection at once. */
async function greets(to: { path: string } | { host: string; port: number }): Promise<boolean> {
  const client = await RawNbdClient.connect(to);
  const greeted = await client.isGreeted();
  client.destroy();
  return greeted;
}

await t.test('a listener with its own exports hides all others', async (test) => {
  const daemon = await configured(test, [
    `unix://${folder}/all`,
    { address: `unix://${folder}/some`, exports: ['three', 'one'] },
    { address: `unix://${folder}/single`, exports: ['two'] },
    { address: `unix://${folder}/none`, exports: [] },
  ]);
  test.same(await listed(at('all')), ['one', 'two', 'three']);
  test.same(await listed(at('some')), ['one', 'three']);
  test.same(await listed(at('single')), ['two']);
  test.same(await listed(at('none')), []);

  for (const hidden of ['two', 'never']) {
    const client = await RawNbdClient.connect(at('some'));
    await client.handshake();
    // Hidden exports and exports that do not exist get the same messages.
    for (const option of [NBD_OPT.GO, NBD_OPT.INFO]) {
      await test.rejects(client.go(hidden, [NBD_INFO.NAME], option), {
        message: `go: 0x80000006: no export named "${hidden}"`,
      });
    }
    await test.rejects(
      client.go(''),
      { message: /80000006/ },
      'with two exports there is no default',
    );
    client.option(NBD_OPT.EXPORT_NAME, Buffer.from(hidden));
    test.equal(await client.ended(), 'end');
    client.destroy();
  }
  const client = await RawNbdClient.connect(at('single'));
  await client.handshake();
  test.match(await client.go('', [NBD_INFO.NAME]), { name: 'two' }, 'the only visible export');
  test.ok((await client.read(3, 3)).equals(raw.subarray(3, 6)));
  await client.disconnect();
  if (await requireNbdsh(test)) {
    const answer = await nbdsh<unknown>(`
h.set_opt_mode(True)
h.add_meta_context("base:allocation")
h.connect_unix("${folder}/some")
h.set_export_name("two")
before = errno_of(lambda: h.opt_list_meta_context(lambda name: 0))
h.set_export_name("never")
answer([before, errno_of(lambda: h.opt_list_meta_context(lambda name: 0))])
`);
    const [hidden, never] = answer as unknown[];
    test.equal(hidden, never, 'meta contexts do not tell either');
    test.ok(hidden);
  }
  await daemon.stop(test);
});

await t.test('unknown exports of a listener are an error with their path', async (test) => {
  const config = join(folder, 'wrong.json');
  const listen = [{ address: `unix://${folder}/x`, exports: ['one', 'nine'] }];
  writeFileSync(config, JSON.stringify({ exports: { one: 'raw.img' }, listen }));
  const { code, stderr } = await runDaemon(['serve', '--config', config]);
  test.equal(code, 2);
  test.match(stderr, /listen\.0\.exports\.1: there is no export named "nine"/);
});

await t.test('only allowed users can connect to a Unix socket', async (test) => {
  const daemon = await configured(test, [
    { address: `unix://${folder}/number`, users: [uid, 12_345] },
    { address: `unix://${folder}/name`, users: [username] },
    { address: `unix://${folder}/other`, users: [uid + 1] },
    { address: `unix://${folder}/nobody`, users: [] },
  ]);
  test.equal(await greets(at('number')), true);
  test.equal(await greets(at('name')), true);
  for (let i = 0; i < 50; i++) {
    test.equal(await greets(at('other')), false);
    test.equal(await greets(at('nobody')), false);
  }
  const refused = await daemon.waitForLines(/refused/);
  test.equal(refused.length, 1, 'one line in the log');
  test.match(refused[0], ` warn: pid ${process.pid} uid ${uid}: refused: not a user who may`);
  await daemon.stop(test);
});

await t.test('--allow-user and the other access options', async (test) => {
  const options = ['--socket-mode', '0640', '--socket-group', String(process.getgid?.())];
  const most = ['--max-connections-per-peer', '2'];
  const allowed = ['--allow-user', username, '--allow-user', '12345', '--socket-owner', username];
  const daemon = await DaemonProcess.start(test, [image, ...options, ...allowed, ...most]);
  const status = statSync(daemon.socketPath);
  test.match(status, { mode: 0o140640, uid, gid: process.getgid?.() });
  const to = { path: daemon.socketPath };
  const two = await Promise.all([RawNbdClient.open(to), RawNbdClient.open(to)]);
  test.equal(await greets(to), false, 'the limit is two');
  for (const each of two) each.destroy();
  await daemon.stop(test);

  const wrong: [string[], number, RegExp][] = [
    [['--allow-user', 'no-such-user'], 1, /user "no-such-user": there is no such name/],
    [['--socket-group', 'no-such-group'], 1, /group "no-such-group": there is no such name/],
    [['--socket-mode', '0999'], 2, /--socket-mode "0999": not octal digits/],
    [['--listen', 'tcp://127.0.0.1:0', '--allow-user', '0'], 2, /--allow-user: the users of nbd:/],
  ];
  for (const [args, code, message] of wrong) {
    const result = await runDaemon(['serve', image, '-l', `unix://${folder}/w`, ...args]);
    test.equal(result.code, code, args.join(' '));
    test.match(result.stderr, message);
    test.notOk(existsSync(join(folder, 'w')), 'no socket file stays');
  }
});

await t.test('each peer and listener has its own limit', async (test) => {
  const daemon = await configured(test, [
    { address: `unix://${folder}/few`, maxConnectionsPerPeer: 3 },
    `unix://${folder}/many`,
    { address: 'tcp://127.0.0.1:0', maxConnectionsPerPeer: 2 },
  ]);
  const { tcp } = daemon;
  const few = await Promise.all([1, 2, 3].map(() => RawNbdClient.open(at('few'), 'one')));
  for (let i = 0; i < 20; i++) test.equal(await greets(at('few')), false);
  test.equal(await greets(at('many')), true, 'this listener allows more');
  test.equal(await greets(tcp), true, 'another peer');
  await daemon.waitForLines(/127\.0\.0\.1:\d+: connection \d+ closed/);
  const lines = daemon.lines(/refused/);
  test.equal(lines.length, 1, 'one line for all of them');
  test.match(lines[0], new RegExp(`refused: uid ${uid} has 3 connections open$`));

  const ip = await Promise.all([1, 2].map(() => RawNbdClient.open(tcp, 'one')));
  test.equal(await greets(tcp), false);
  const [, second] = await daemon.waitForLines(/refused/, 2);
  test.match(second, /127\.0\.0\.1:\d+: refused: 127\.0\.0\.1 has 2 connections/);

  few[0]?.destroy();
  await daemon.waitForLines(/uid \d+: connection \d+ closed/, 2);
  const again = await RawNbdClient.open(at('few'), 'two');
  test.ok(
    (await again.read(5, 5)).equals(raw.subarray(5, 10)),
    'one client has left, so another may connect',
  );
  for (const each of [...few, ...ip, again]) each.destroy();
  await daemon.stop(test);
});

await t.test('the default limit applies if none is set', async (test) => {
  const daemon = await DaemonProcess.start(test, [image, '--threads', '1']);
  const to = { path: daemon.socketPath };
  const crowd: RawNbdClient[] = [];
  let greeted = 0;
  // In small batches: the kernel would refuse more than the backlog holds.
  for (let i = 0; i < 260; i += 20) {
    const batch = await Promise.all(Array.from({ length: 20 }, () => RawNbdClient.connect(to)));
    const answers = await Promise.all(batch.map((each) => each.isGreeted()));
    greeted += answers.filter((each) => each).length;
    crowd.push(...batch);
  }
  test.equal(greeted, 256);
  for (const each of crowd) each.destroy();
  await daemon.stop(test);
});

await t.test('IPv6: loopback, any address, and a link-local address', async (test) => {
  const six = sockets.listenTcp('::1', 0, 1);
  if (six < 0) {
    test.pass('IPv6', { skip: 'NOT TESTED, no IPv6 on this machine' });
    return;
  }
  descriptors.close(six);
  const listen = ['tcp://[::1]:0', 'tcp://[::]:0'];
  const local = Object.entries(networkInterfaces())
    .flatMap(([name, all]) => (all ?? []).map((each) => ({ name, ...each })))
    .find(({ family, address }) => family === 'IPv6' && address.startsWith('fe80:'));
  if (local) listen.push(`tcp://[${local.address}%${local.name}]:0`);
  else console.error('access.test: NOT TESTED, no link-local address on this machine');
  const daemon = await configured(test, listen);
  const ports = daemon.lines(/ready: /).map((line) => Number(/:(\d+)$/.exec(line)?.[1]));
  const hosts = ['::1', '::1', ...(local ? [`${local.address}%${local.name}`] : [])];
  for (const [i, host] of hosts.entries()) {
    const client = await RawNbdClient.open({ host, port: ports[i] ?? 0 }, 'one');
    test.ok((await client.read(9, 9)).equals(raw.subarray(9, 18)), `${host} by ${listen[i]}`);
    await client.disconnect();
  }
  await daemon.waitForLines(/closed: client disconnected/, hosts.length);
  test.match(daemon.log, /info: \[::1\]:\d+: connection/);
  if (local) {
    test.match(daemon.log, `ready: nbd://[${local.address}%25${local.name}]:`);
    test.match(daemon.log, `info: [${local.address}%${local.name}]:`);
  }
  await test.rejects(RawNbdClient.connect({ host: '127.0.0.1', port: ports[1] ?? 0 }), {
    code: 'ECONNREFUSED',
  });
  if (requireTool(test, 'nbdinfo')) {
    const { code, stdout } = await runTool('nbdinfo', ['--size', `nbd://[::1]:${ports[0]}/one`]);
    test.match({ code, stdout }, { code: 0, stdout: `${SIZE}\n` });
  }
  await daemon.stop(test);
});

await t.test('a host name: all of its addresses are listened on', async (test) => {
  const daemon = await DaemonProcess.start(test, [image, '-l', 'tcp://localhost:0']);
  await daemon.waitForLines(/ready: nbd:/);
  const { host, port } = daemon.tcp;
  test.match(host, /^(127\.0\.0\.1|::1)$/);
  test.ok(await greets({ host, port }));
  await daemon.stop(test);
});

await t.test('vsock: a client connects and reads', async (test) => {
  const fd = sockets.listenVsock(VSOCK_CID_ANY, 0, 1);
  if (fd < 0) {
    test.equal(fd, -EAFNOSUPPORT);
    test.pass('vsock', { skip: 'NOT TESTED, no vsock on this machine' });
    return;
  }
  const port = sockets.localPort(fd);
  descriptors.close(fd);
  const daemon = await configured(test, [`vsock://:${port}`]);
  test.match(daemon.log, `ready: vsock://:${port}\n`);
  const taken = await runDaemon(['serve', image, '-l', `vsock://:${port}`]);
  test.match(taken, { code: 1, stderr: new RegExp(`vsock://:${port}: cannot listen: another`) });
  const client = ['-c', VSOCK_CLIENT, `${port}`, `${SIZE}`];
  if (requireTool(test, 'python3')) {
    const { code, stdout, stderr } = await runTool('python3', client);
    if (/no loopback/.test(stdout)) {
      console.error('access.test: NOT TESTED, no vsock loopback in this kernel');
      test.pass('a client over vsock', { skip: 'NOT TESTED, no vsock loopback in this kernel' });
    } else {
      test.equal(code, 0, stderr);
      const [line] = await daemon.waitForLines(/vsock cid 1 port \d+: connection 1 closed/);
      test.match(line, /client aborted/);
    }
  }
  await daemon.stop(test);
});
