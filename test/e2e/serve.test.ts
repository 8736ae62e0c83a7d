// `overlaybd-nbd serve` from outside: its exports, listeners and messages. Refusals: serve-refusals.test.ts.
import { existsSync, lstatSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { writeDemoImage } from '../support/demo-image.js';
import { writeRaw, writeSparseStack } from '../support/e2e-images.js';
import { RawNbdClient } from '../support/nbd-client.js';

t.setTimeout(900_000);

const folder = shortFolder(t);
const demo = writeDemoImage(folder);
const sparse = writeSparseStack(folder);
const raw = writeRaw(join(folder, 'raw.img'), 3, 100_001);
const path = (name: string): string => join(folder, name);

async function sees(
  test: Test,
  daemon: DaemonProcess,
  name: string,
  offset: number,
  expected: Buffer,
): Promise<void> {
  const client = await RawNbdClient.open(daemon.unix, name);
  const got = await client.read(offset, expected.length);
  test.ok(got.equals(expected), `export ${JSON.stringify(name)}`);
  await client.disconnect();
}

await t.test('several exports from the command line and a configuration', async (test) => {
  writeFileSync(
    path('daemon.json'),
    JSON.stringify({
      exports: {
        demo: 'config.v1.json',
        'sp arse/ü': ['sparse0.obd', 'sparse1.obd', 'sparse2.obd'],
      },
      threads: 2,
      log: { level: 'debug', format: 'json' },
    }),
  );
  const args = ['--config', path('daemon.json'), '-e', `raw=${folder}/raw.img`, path('raw.img')];
  const daemon = await DaemonProcess.start(test, args);
  const client = await RawNbdClient.connect(daemon.unix);
  await client.handshake();
  test.same((await client.list()).toSorted(), ['', 'demo', 'raw', 'sp arse/ü']);
  client.destroy();
  await sees(test, daemon, '', 0, raw);
  await sees(test, daemon, 'raw', 99_000, raw.subarray(99_000));
  await sees(test, daemon, 'demo', 0, demo.device.subarray(0, 1 << 20));
  const from = 4 * 1024 ** 3 - 60_000;
  await sees(test, daemon, 'sp arse/ü', from, sparse.expected(from, 120_000));
  const end = sparse.virtualSize - 4096;
  await sees(test, daemon, 'sp arse/ü', end, sparse.expected(end, 4096));
  await daemon.stop(test);

  const lines = daemon.log.trim().split('\n');
  const parsed = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  test.ok(parsed.length > 10, 'every line is JSON');
  for (const line of parsed) {
    if (typeof line['message'] !== 'string' || typeof line['level'] !== 'string') test.fail();
    if (Number.isNaN(Date.parse(String(line['timestamp'])))) test.fail('timestamp');
  }
  test.match(
    parsed.find(({ reason }) => reason === 'client disconnected'),
    { level: 'info', connection: Number, requests: 2, errors: 0, bytesSent: Number },
  );
});

await t.test(
  'one image: blobs bottom first or a configuration, and the default name',
  async (test) => {
    const stack = await DaemonProcess.start(test, sparse.layers);
    await sees(test, stack, '', 0, sparse.expected(0, 300_000));
    const config = await DaemonProcess.start(test, [demo.config]);
    await sees(test, config, '', 12_345, demo.device.subarray(12_345, 20_000));
    const named = await DaemonProcess.start(test, ['-e', `only=${demo.config}`]);
    await sees(test, named, 'only', 0, demo.device.subarray(0, 512));
    await sees(test, named, '', 0, demo.device.subarray(0, 512));
    await Promise.all([stack, config, named].map((each) => each.stop(test)));
  },
);

await t.test('a stale Unix socket is replaced, a file at its path is not', async (test) => {
  const socketPath = path('live.sock');
  const first = await DaemonProcess.start(test, [demo.config], { socketPath });
  const thief = await runDaemon(['serve', path('raw.img'), '--listen', `unix://${socketPath}`]);
  test.match(thief, { code: 1, stderr: /live\.sock: cannot listen: another process listens/ });
  await sees(test, first, '', 0, demo.device.subarray(0, 512));
  first.child.kill('SIGKILL');
  test.equal(await first.exited(), null);
  test.ok(lstatSync(socketPath).isSocket(), 'a killed daemon leaves the socket file');
  const second = await DaemonProcess.start(test, [path('raw.img')], { socketPath });
  await sees(test, second, '', 0, raw.subarray(0, 512));
  await second.stop(test);
  test.notOk(existsSync(socketPath), 'removed when the daemon ended');

  writeFileSync(path('precious'), 'do not delete');
  const rude = await runDaemon(['serve', demo.config, '--listen', `unix://${path('precious')}`]);
  test.match(rude, { code: 1, stderr: /precious: cannot listen: .*not a socket/ });
  test.equal(readFileSync(path('precious'), 'utf8'), 'do not delete');
});

await t.test('the socket of another process at the same path is kept', async (test) => {
  const socketPath = path('shared.sock');
  const old = await DaemonProcess.start(test, [path('raw.img')], { socketPath });
  old.child.kill('SIGSTOP');
  // The operator removes the socket by hand and starts again.
  rmSync(socketPath);
  const next = await DaemonProcess.start(test, [demo.config], { socketPath });
  old.child.kill('SIGCONT');
  await old.stop(test);
  await sees(test, next, '', 0, demo.device.subarray(0, 512));
  await next.stop(test);
});

await t.test('TCP: several addresses, IPv6, an address that is in use', async (test) => {
  const loopback6 = Object.values(networkInterfaces())
    .flat()
    .some((each) => each?.address === '::1');
  const listen = [
    'tcp://127.0.0.1:0',
    'tcp://localhost:0',
    ...(loopback6 ? ['tcp://[::1]:0'] : []),
  ];
  const daemon = await DaemonProcess.start(test, [path('raw.img')], { listen });
  const uris = daemon.lines(/ready: nbd:\/\//);
  test.equal(uris.length, listen.length);
  for (const line of uris) {
    const [, v6, v4, port] = /nbd:\/\/(?:\[([^\]]+)\]|([^:]+)):(\d+)/.exec(line) ?? [];
    const client = await RawNbdClient.open({ host: v6 ?? v4 ?? '', port: Number(port) });
    test.ok((await client.read(1, 100)).equals(raw.subarray(1, 101)), line);
    await client.disconnect();
  }
  if (!loopback6) test.pass('IPv6', { skip: 'NOT TESTED, no [::1] on this machine' });
  await daemon.stop(test);

  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address() as { port: number };
  const taken = await runDaemon([
    'serve',
    demo.config,
    '--listen',
    `tcp://127.0.0.1:${address.port}`,
  ]);
  test.match(taken, { code: 1, stderr: /cannot listen: another process listens there/ });
  server.close();
});
