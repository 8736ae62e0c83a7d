// Reloading the configuration by SIGHUP and by the command: added, removed, changed and unchanged exports.
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { askRaw, socketOf, waitForControl } from '../support/control.js';
import { writeRaw } from '../support/e2e-images.js';
import { RawNbdClient } from '../support/nbd-client.js';
import { fallsTo } from '../support/descriptors.js';

t.setTimeout(900_000);
const SIZE = 100_000;
const folder = shortFolder(t);
const image = (name: string): string => join(folder, name);
const [one, two, three] = ['one', 'two', 'three'].map((name, i) =>
  writeRaw(image(name), i + 1, SIZE),
) as [Buffer, Buffer, Buffer];

interface World {
  daemon: DaemonProcess;
  state: string;
  set: (exports: Record<string, string>) => void;
  setText: (text: string) => void;
}

async function start(test: Test, exports: Record<string, string>): Promise<World> {
  const own = shortFolder(test);
  const [state, config] = [join(own, 'state'), join(own, 'daemon.json')];
  const setText = (text: string): void => writeFileSync(config, text);
  const set = (each: Record<string, string>): void => setText(JSON.stringify({ exports: each }));
  set(exports);
  const daemon = await DaemonProcess.start(test, ['--config', config, '--state', state]);
  await waitForControl(socketOf(state));
  return { daemon, state, set, setText };
}

async function names({ daemon }: World): Promise<string[]> {
  const client = await RawNbdClient.connect(daemon.unix);
  await client.handshake();
  const list = await client.list();
  client.destroy();
  return list.toSorted();
}

async function firstBytes({ daemon }: World, name: string): Promise<Buffer> {
  const client = await RawNbdClient.open(daemon.unix, name);
  const bytes = await client.read(0, 2000);
  await client.disconnect();
  return bytes;
}

await t.test('SIGHUP adds, removes and changes exports; connections go on', async (test) => {
  const world = await start(test, { kept: image('one'), gone: image('two'), other: image('one') });
  const { daemon } = world;
  const onGone = await RawNbdClient.open(daemon.unix, 'gone');
  const onOther = await RawNbdClient.open(daemon.unix, 'other');
  world.set({ kept: image('one'), other: image('three'), added: image('two') });
  daemon.child.kill('SIGHUP');
  await daemon.waitForLines(/reloaded: 3 exports/);
  test.same(await names(world), ['added', 'kept', 'other']);
  test.same(await firstBytes(world, 'kept'), one.subarray(0, 2000));
  test.same(await firstBytes(world, 'added'), two.subarray(0, 2000));
  test.same(await firstBytes(world, 'other'), three.subarray(0, 2000), 'another image');
  await test.rejects(RawNbdClient.open(daemon.unix, 'gone'), /no export named "gone"/);
  test.same(await onGone.read(50_000, 50_000), two.subarray(50_000), 'the connection goes on');
  test.same(await onOther.read(5, 50_000), one.subarray(5, 50_005), 'with the image that it had');
  await onGone.disconnect();
  await onOther.disconnect();
  await daemon.stop(test);
});

await t.test('an image is closed when its last client has gone', async (test) => {
  const world = await start(test, { a: image('one') });
  const { daemon, state } = world;
  // Afterwards no file is being loaded, which takes descriptors for a moment.
  await askRaw(socketOf(state), { path: '/v1/status' });
  await (await RawNbdClient.open(daemon.unix, 'a')).disconnect();
  const before = await daemon.openFiles();
  const client = await RawNbdClient.open(daemon.unix, 'a');
  for (let i = 0; i < 10; i++) {
    world.set({ a: image(i % 2 === 0 ? 'two' : 'one') });
    test.equal((await runDaemon(['reload', '--state', state])).code, 0);
  }
  test.same(await client.read(0, 100), one.subarray(0, 100));
  await client.disconnect();
  test.ok(await fallsTo(before, () => daemon.openFiles()), 'the image is closed');
});

await t.test('an invalid configuration changes nothing and is reported', async (test) => {
  const world = await start(test, { a: image('one') });
  const { daemon, state } = world;
  const cases: [string, RegExp][] = [
    ['{', /daemon\.json/],
    ['{"exports": {"a": 5}}', /daemon\.json.*exports/],
    ['{}', /nothing to serve/],
    ['{"exports": {"a": "x", "a": "y"}}', /exports\.a: duplicate key/],
  ];
  for (const [text, message] of cases) {
    world.setText(text);
    const { code, stderr } = await runDaemon(['reload', '--state', state]);
    test.not(code, 0, text);
    test.match(stderr, message);
    test.notMatch(stderr, /\.js:\d+/);
  }
  daemon.child.kill('SIGHUP');
  await daemon.waitForLines(/reload: everything stays as it was/, cases.length + 1);
  test.same(await names(world), ['a']);
  test.same(await firstBytes(world, 'a'), one.subarray(0, 2000));
  world.set({ b: image('three') });
  test.equal((await runDaemon(['reload', '--state', state])).code, 0);
  test.same(await names(world), ['b']);
});

await t.test(
  'an export that cannot be opened is served later, the others at once',
  async (test) => {
    const world = await start(test, { a: image('one') });
    const { daemon, state } = world;
    const late = join(shortFolder(test), 'late');
    world.set({ b: image('two'), bad: late, odd: folder });
    const { code, stderr } = await runDaemon(['reload', '--state', state]);
    test.equal(code, 1);
    test.match(stderr, /export "bad": failed: .*late: .*ENOENT/);
    test.match(stderr, /export "odd": failed: .*not a file or a block device/);
    await daemon.waitForLines(/error.* export "bad" is not served: .*ENOENT.*; tried again in 1 s/);
    test.same(await names(world), ['b'], 'clients see the exports that are served');
    test.same(await firstBytes(world, 'b'), two.subarray(0, 2000));
    await test.rejects(
      RawNbdClient.open(daemon.unix, 'bad'),
      /"bad" cannot be served now: its image cannot be opened \(NOT_FOUND\)/,
    );
    const answer = await askRaw(socketOf(state), { path: '/v1/status' });
    test.match(JSON.parse(answer.body), {
      images: { served: 1, failed: 2 },
      exports: [
        { name: 'b', state: 'served', problem: null },
        { name: 'bad', state: 'failed', problem: { code: 'NOT_FOUND', message: /ENOENT/ } },
        { name: 'odd', state: 'failed', problem: { code: 'UNSUPPORTED' } },
      ],
    });
    const status = await runDaemon(['status', '--state', state]);
    test.equal(status.code, 1);
    test.match(status.stdout, /export "bad": failed: .*ENOENT/);
    // The operator mends the file; the daemon notices it by itself.
    writeFileSync(late, three);
    await daemon.waitForLines(/export "bad": .* bytes/);
    test.same(await firstBytes(world, 'bad'), three.subarray(0, 2000));
    test.equal(daemon.lines(/"bad" is not served/).length, 1, 'the same reason is logged once');
  },
);

await t.test('images that differ only outside their fingerprints are told apart', async (test) => {
  const twin = Buffer.from(one);
  twin.fill(0xaa, 40_000, 41_000);
  writeFileSync(image('twin'), twin);
  const world = await start(test, { a: image('one'), b: image('twin') });
  const client = await RawNbdClient.open(world.daemon.unix, 'b');
  test.same(await client.read(40_000, 1000), twin.subarray(40_000, 41_000));
  await client.disconnect();
});

await t.test('reload without a daemon is an error', async (test) => {
  const state = join(shortFolder(test), 'state');
  for (const command of ['reload', 'upgrade', 'status']) {
    const { code, stderr } = await runDaemon([command, '--state', state]);
    test.equal(code, 1, command);
    test.match(stderr, /no daemon is running there/);
  }
  test.notOk(existsSync(state), 'the command makes no folder');
});
