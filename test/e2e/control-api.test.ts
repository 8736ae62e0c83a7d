// The control socket of the real daemon with raw HTTP, the commands that use it, and daemons without one. With devices
// of the kernel: test/kernel.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { MAX_BODY_LENGTH, type DaemonStatus } from '../../daemon/control/api.js';
import { Sysfs } from '../../daemon/kernel/sysfs.js';
import { DaemonProcess, commandLine, runDaemon, shortFolder } from '../support/daemon-process.js';
import { askRaw, socketOf, waitForControl, type RawQuestion } from '../support/control.js';
import { fallsTo } from '../support/descriptors.js';
import { writeRaw } from '../support/e2e-images.js';
import { RawNbdClient, tick } from '../support/nbd-client.js';
import { runTool } from '../support/tools.js';

t.setTimeout(900_000);
const folder = shortFolder(t);
const image = join(folder, 'disk.img');
const disk = writeRaw(image, 3, 100_000);
const hasKernel = new Sysfs().hasModule;

interface World {
  daemon: DaemonProcess;
  state: string;
  socket: string;
}

function post(body: string): RawQuestion {
  return { method: 'POST', path: '/v1/devices', body };
}

async function start(test: Test, ...args: string[]): Promise<World> {
  const state = join(shortFolder(test), 'state');
  const daemon = await DaemonProcess.start(test, ['-e', `web=${image}`, '--state', state, ...args]);
  await waitForControl(socketOf(state));
  return { daemon, state, socket: socketOf(state) };
}

await t.test('invalid requests are refused, and the daemon goes on', async (test) => {
  const { daemon, socket, state } = await start(test);
  test.equal(statSync(socket).mode & 0o777, 0o600, 'only its owner can connect');
  test.equal(statSync(state).mode & 0o777, 0o700);
  const cases: [RawQuestion, number, string, RegExp][] = [
    [{ path: '/' }, 404, 'NOT_FOUND', /GET \//],
    [{ path: '/v2/status' }, 404, 'NOT_FOUND', /\/v2\/status/],
    [{ path: '/v1/status/' }, 404, 'NOT_FOUND', /\/v1\/status\//],
    [{ path: '/v1/devices' }, 404, 'NOT_FOUND', /GET \/v1\/devices/],
    [{ path: '//' }, 404, 'NOT_FOUND', /there is no GET/],
    [{ method: 'PUT', path: '/v1/status' }, 404, 'NOT_FOUND', /PUT/],
    [{ method: 'DELETE', path: '/v1/devices/' }, 404, 'NOT_FOUND', /DELETE/],
    [{ method: 'DELETE', path: '/v1/devices/nbd0' }, 404, 'NOT_FOUND', /nbd0.*not attached/],
    [{ method: 'DELETE', path: '/v1/devices/%zz' }, 400, 'BAD_ARGUMENT', /%zz/],
    [post(''), 400, 'BAD_ARGUMENT', /not JSON/],
    [post('{'), 400, 'BAD_ARGUMENT', /not JSON/],
    [post('[]'), 400, 'BAD_ARGUMENT', /attach/],
    [post('{}'), 400, 'BAD_ARGUMENT', /either "export" or "image"/],
    [post('{"export":"web","image":["/a"]}'), 400, 'BAD_ARGUMENT', /either/],
    [post('{"image":["relative"]}'), 400, 'BAD_ARGUMENT', /image\.0/],
    [post('{"image":[]}'), 400, 'BAD_ARGUMENT', /image/],
    [post('{"export":"web","connections":0}'), 400, 'BAD_ARGUMENT', /connections/],
    [post('{"export":"web","connections":17}'), 400, 'BAD_ARGUMENT', /connections/],
    [post('{"export":"web","blockSize":513}'), 400, 'BAD_ARGUMENT', /blockSize/],
    [post('{"export":"web","index":-1}'), 400, 'BAD_ARGUMENT', /index/],
    [post('{"export":"web","surprise":1}'), 400, 'BAD_ARGUMENT', /surprise/],
    [post('{"export":"web","registries":[]}'), 400, 'BAD_ARGUMENT', /registries: /],
    [post('{"export":"web","registries":{"mirror":[]}}'), 400, 'BAD_ARGUMENT', /did you mean/],
    [
      post('{"export":"web","registries":{"platform":"linux/arm64"}}'),
      400,
      'BAD_ARGUMENT',
      /other settings of registries: registries\.platform\. Set them/,
    ],
    [post('{"export":"nobody"}'), 404, 'NOT_FOUND', /"nobody".*"web"/],
    [post('{"image":["/no/such/file"]}'), 404, 'NOT_FOUND', /\/no\/such\/file/],
    [post('{"export":"web","partition":0}'), 400, 'BAD_ARGUMENT', /partition: /],
    [post('{"export":"web","partition":1}'), 404, 'NOT_FOUND', /no partition table/],
  ];
  const files = await daemon.openFiles();
  for (const [question, code, name, message] of cases) {
    const answer = await askRaw(socket, question);
    const what = `${question.method ?? 'GET'} ${question.path} ${String(question.body ?? '')}`;
    test.equal(answer.code, code, what);
    const told = JSON.parse(answer.body) as { code: string; message: string };
    test.equal(told.code, name, what);
    test.match(told.message, message, what);
  }
  const body = Buffer.alloc(MAX_BODY_LENGTH + 1, ' ');
  const large = await askRaw(socket, { method: 'POST', path: '/v1/devices', body });
  test.equal(large.code, 400);
  test.match(large.body, /at most 1048576 bytes/);
  const most = await askRaw(socket, { ...post(''), body: body.subarray(1) });
  test.match(most.body, /not JSON/, 'a body of one byte less is parsed');
  // The sockets of the requests are closed soon after their answers.
  test.ok(await fallsTo(files, () => daemon.openFiles()), 'all opened images are closed');
  await daemon.stop(test);
  test.notOk(existsSync(socket));
});

await t.test('bytes that are not HTTP, and a client that hangs up', async (test) => {
  const { daemon, socket } = await start(test);
  for (const text of [
    '\0\xff\0\xff\r\n\r\n',
    'GET /v1/status HTTP/1.1\r\nHost: x\r\n',
    'POST /v1/devices HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{"ex',
  ]) {
    const client = connect(socket);
    client.on('error', () => undefined);
    await new Promise((resolve) => client.once('connect', resolve));
    client.write(Buffer.from(text, 'latin1'));
    await tick(30);
    client.destroy();
  }
  test.equal((await askRaw(socket, { path: '/v1/status' })).code, 200);
  await daemon.stop(test);
});

await t.test('status as text and as JSON', async (test) => {
  const { daemon, state } = await start(test);
  const client = await RawNbdClient.open(daemon.unix, 'web');
  const json = await runDaemon(['status', '--json', '--state', state]);
  test.equal(json.code, 0, json.stderr);
  const status = JSON.parse(json.stdout) as DaemonStatus;
  test.match(status, {
    pid: daemon.child.pid,
    clients: 1,
    exports: [{ name: 'web', image, size: disk.length }],
    devices: [],
    listening: [/^nbd\+unix:/],
  });
  test.match(status.version, /^\d+\.\d+\.\d+/);
  test.ok(Math.abs(Date.parse(status.since) - Date.now()) < 60_000, status.since);
  const plain = await runDaemon(['status', '--state', state]);
  test.equal(plain.code, 0);
  test.match(plain.stdout, new RegExp(`process ${daemon.child.pid}, since`));
  test.match(plain.stdout, /^listening: nbd\+unix:/m);
  test.match(plain.stdout, /^clients: 1$/m);
  test.match(plain.stdout, /^export "web": .*100000 bytes$/m);
  test.match(plain.stdout, /^no device is attached$/m);
  await client.disconnect();
  await daemon.stop(test);
});

await t.test('attach on a kernel without NBD devices is an error', async (test) => {
  if (hasKernel) {
    test.pass('the kernel has NBD devices', { skip: 'the kernel has NBD devices' });
    return;
  }
  const { daemon, socket, state } = await start(test);
  const line = await runDaemon(['attach', image, '--state', state]);
  test.equal(line.code, 1);
  test.match(line.stderr, /modprobe nbd/);
  test.equal(line.stdout, '');
  // Its size is not a multiple of a sector, which is allowed.
  const body = JSON.stringify({ export: 'web', blockSize: 512 });
  const answer = await askRaw(socket, { method: 'POST', path: '/v1/devices', body });
  test.equal(answer.code, 503);
  test.match(answer.body, /NO_KERNEL.*modprobe nbd/s);
  test.notOk(existsSync(join(state, 'daemon.log')), 'no daemon was started');
  await daemon.stop(test);
});

await t.test(
  'settings of registries that a running daemon does not have are refused',
  async (test) => {
    const own = ['--plain-http', 'a.example', '--platform', 'linux/arm64'];
    const { daemon, state } = await start(test, ...own);
    const attach = ['attach', 'web', '--state', state];
    const refused = [...attach, '--plain-http', 'b.example', '--pull', 'always'];
    if (hasKernel) {
      const { code, stderr } = await runDaemon(refused);
      test.match({ code, stderr }, { code: 2, stderr: /registries\.plainHttp, registries\.pull/ });
    }
    const fuse = ['mount', '--fuse', 'web', shortFolder(test), '--state', state];
    const { code, stderr } = await runDaemon([...fuse, '--offline']);
    test.match({ code, stderr }, { code: 2, stderr: /--offline: works with --fuse for images/ });
    const same = { export: 'nobody', registries: { plainHttp: ['a.example'] } };
    const answer = await askRaw(socketOf(state), post(JSON.stringify(same)));
    test.equal(answer.code, 404, 'its own settings are no reason to refuse');
    await daemon.stop(test);
  },
);

await t.test('detach of a device that is not attached is an error', async (test) => {
  const { state } = await start(test);
  const { code, stderr } = await runDaemon(['detach', 'nbd63', '--state', state]);
  test.equal(code, 1);
  test.match(stderr, /nbd63.*not attached/);
});

await t.test('detach --all succeeds with and without devices', async (test) => {
  const { daemon, state } = await start(test);
  const none = { code: 0, stdout: '', stderr: '' };
  test.match(await runDaemon(['detach', '--all', '--state', state]), none);
  test.match(await runDaemon(['detach', '--all', '--force', '--state', state]), none);
  for (const wrong of [['--all', 'nbd0'], [], ['--force']]) {
    const { code, stderr } = await runDaemon(['detach', ...wrong, '--state', state]);
    test.match({ code, stderr }, { code: 2, stderr: /name devices, or use --all without devices/ });
  }
  await daemon.stop(test);
  test.match(await runDaemon(['detach', '--all', '--state', state]), none, 'without a daemon');
  const never = join(folder, 'never');
  test.match(await runDaemon(['detach', '--all', '--force', '--state', never]), none);
  const one = await runDaemon(['detach', 'nbd0', '--state', state]);
  test.match(one, { code: 1, stderr: /no daemon is running/ });
});

await t.test('serve --max-devices limits the devices', async (test) => {
  for (const count of ['0', '1.5', '65537', 'many']) {
    const { code, stderr } = await runDaemon([
      'serve',
      image,
      '--max-devices',
      count,
      '--state',
      join(folder, 'max'),
    ]);
    test.match(
      { code, stderr },
      { code: 2, stderr: /--max-devices.*not a (whole )?number/ },
      count,
    );
  }
});

await t.test('serve --on-demand has no listeners, and ends on SIGTERM', async (test) => {
  const state = join(shortFolder(test), 'state');
  const daemon = await DaemonProcess.start(test, ['--on-demand', '--state', state], {
    elsewhere: 0,
  });
  await waitForControl(socketOf(state));
  const { body } = await askRaw(socketOf(state), { path: '/v1/status' });
  test.match(JSON.parse(body), { exports: [], devices: [], listening: [], clients: 0 });
  await daemon.stop(test);
});

await t.test('a state folder that cannot be used is an error', async (test) => {
  const open = join(shortFolder(test), 'open');
  mkdirSync(open);
  await runTool('chmod', ['777', open]);
  const refused = await runDaemon(['serve', image, '--state', open]);
  test.equal(refused.code, 1, 'with --state it is an error');
  test.match(refused.stderr, /open: it belongs to user \d+ and has mode 777/);
  const two = await start(test);
  const second = await runDaemon(['serve', image, '--state', two.state]);
  test.equal(second.code, 1);
  test.match(second.stderr, /another daemon uses it.*--state/);
  test.equal(
    (await askRaw(two.socket, { path: '/v1/status' })).code,
    200,
    'the other daemon is still there',
  );
});

await t.test(
  'without --state, a daemon without access to the folder does without it',
  async (test) => {
    if (process.getuid?.() !== 0) {
      test.pass('needs root', { skip: 'needs root' });
      return;
    }
    const run = shortFolder(test);
    const socket = join(run, 'nbd.sock');
    await runTool('chmod', ['777', run]);
    await runTool('chmod', ['711', folder]);
    const copy = join(run, 'disk.img');
    writeFileSync(copy, disk);
    const runtime = join(run, 'runtime');
    mkdirSync(runtime);
    await runTool('chmod', ['755', runtime]);
    const log = join(run, 'log');
    const line = commandLine(['serve', copy, '--listen', `unix://${socket}`])
      .map(quoted)
      .join(' ');
    // User 65534 may not write in the given folder.
    const script = `exec setpriv --reuid=65534 --regid=65534 --clear-groups env XDG_RUNTIME_DIR=${runtime} ${line} 2>${log}`;
    const child = spawn('sh', ['-c', script], { stdio: 'ignore' });
    test.teardown(() => child.kill('SIGKILL'));
    await waitFor(() => existsSync(log) && /ready: /.test(readFileSync(log, 'utf8')));
    test.match(
      readFileSync(log, 'utf8'),
      /serving without a control socket and devices: state folder .*EACCES/,
    );
    const client = await RawNbdClient.open({ path: socket });
    test.same(await client.read(0, 512), disk.subarray(0, 512));
    await client.disconnect();
  },
);

function quoted(word: string): string {
  return `'${word}'`;
}

async function waitFor(isSo: () => boolean): Promise<void> {
  for (const end = performance.now() + 120_000; !isSo(); await tick(20)) {
    if (performance.now() > end) throw new Error('it did not come in time');
  }
}
