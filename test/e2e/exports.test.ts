// Exports that are added and removed while the daemon runs, by the command and by raw HTTP: they are served at once, and
// kept by a reload, an upgrade and a kill -9.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { DaemonStatus, ExportList } from '../../daemon/control/api.js';
import { askRaw, socketOf, waitForControl } from '../support/control.js';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { fallsTo, openTargets } from '../support/descriptors.js';
import { writeRaw } from '../support/e2e-images.js';
import { RAW } from '../support/hostile-text.js';
import { RawNbdClient, tick } from '../support/nbd-client.js';
import { servedTree } from '../support/erofs/served-tree.js';
import { writeEstargz } from '../support/estargz-writer.js';
import { lower } from '../support/two-layers.js';
import { writeUstar } from '../support/ustar.js';
import { remoteImage, remoteOptions } from '../support/registry/remote-image.js';

t.setTimeout(900_000);
const SIZE = 100_000;
const folder = shortFolder(t);
const [one, two] = ['one', 'two'].map((name, i) => writeRaw(join(folder, name), i + 1, SIZE)) as [
  Buffer,
  Buffer,
];
const path = (name: string): string => join(folder, name);

interface World {
  daemon: DaemonProcess;
  state: string;
  config: string;
}

async function start(test: Test, exports: object = { own: path('one') }): Promise<World> {
  const own = shortFolder(test);
  const [state, config] = [join(own, 'state'), join(own, 'daemon.json')];
  writeFileSync(config, JSON.stringify({ exports }));
  return again(test, { state, config });
}

async function again(test: Test, { state, config }: Omit<World, 'daemon'>): Promise<World> {
  const daemon = await DaemonProcess.start(test, ['--config', config, '--state', state]);
  await waitForControl(socketOf(state));
  return { daemon, state, config };
}

function exportsCommand(state: string, ...words: string[]) {
  return runDaemon(['exports', ...words, '--state', state]);
}

async function listed(state: string): Promise<[string, string, boolean][]> {
  const { body } = await askRaw(socketOf(state), { path: '/v1/exports' });
  return (JSON.parse(body) as ExportList).exports
    .map(({ name, state: how, added }): [string, string, boolean] => [name, how, added])
    .toSorted(([a], [b]) => a.localeCompare(b, 'en'));
}

async function read(daemon: DaemonProcess, name: string): Promise<Buffer> {
  const client = await RawNbdClient.open(daemon.unix, name);
  const bytes = await client.read(0, 2000);
  await client.disconnect();
  return bytes;
}

/** Lines with characters that no terminal may get. */
function unescaped(text: string): string[] {
  return text.split('\n').filter((line) => RAW.test(line));
}

async function successorOf(state: string, pid: number | undefined): Promise<number> {
  for (const end = performance.now() + 120_000; performance.now() < end; await tick(50)) {
    const { body } = await askRaw(socketOf(state), { path: '/v1/status' }).catch(() => {
      return { body: '{}' };
    });
    const now = (JSON.parse(body) as Partial<DaemonStatus>).pid ?? pid;
    if (now !== undefined && now !== pid) return now;
  }
  throw new Error('no other daemon answers');
}

await t.test(
  'an export is added, listed, replaced and removed; connections go on',
  async (test) => {
    const { daemon, state } = await start(test);
    const added = await exportsCommand(state, 'add', 'web', path('two'));
    test.match(added, { code: 0, stdout: /^export "web": .*two: .*100000 bytes\n$/ }, added.stderr);
    test.same(await read(daemon, 'web'), two.subarray(0, 2000));
    test.same(await listed(state), [
      ['own', 'served', false],
      ['web', 'served', true],
    ]);
    const list = await exportsCommand(state);
    test.match(list, { code: 0, stdout: /^export "own": .*\nexport "web": .*\n$/ });
    test.match(JSON.parse((await exportsCommand(state, 'ls', '--json')).stdout), {
      exports: [{ name: 'own' }, { name: 'web', added: true }],
    });
    const client = await RawNbdClient.open(daemon.unix, 'web');
    await exportsCommand(state, 'add', 'web', path('one'));
    test.same(await read(daemon, 'web'), one.subarray(0, 2000), 'another image');
    test.same(await client.read(0, 2000), two.subarray(0, 2000), 'with the image that it had');
    const removed = await exportsCommand(state, 'rm', 'web');
    test.match(removed, { code: 0, stdout: 'export "web": removed\n' }, removed.stderr);
    await test.rejects(RawNbdClient.open(daemon.unix, 'web'), /no export named "web"/);
    test.same(await client.read(9, 2000), two.subarray(9, 2009), 'the connection goes on');
    await client.disconnect();
    test.same(await listed(state), [['own', 'served', false]]);
    await daemon.stop(test);
  },
);

await t.test(
  'a removed image is closed after its readers, whatever else is connected',
  async (test) => {
    const { daemon, state } = await start(test);
    const other = await RawNbdClient.open(daemon.unix, 'own');
    await exportsCommand(state, 'add', 'web', path('two'));
    const reader = await RawNbdClient.open(daemon.unix, 'web');
    await exportsCommand(state, 'rm', 'web');
    const isOpen = (): number => openTargets(path('two'), daemon.child.pid).length;
    test.same(await reader.read(0, 2000), two.subarray(0, 2000));
    test.equal(isOpen(), 1, 'it has a reader');
    await reader.disconnect();
    test.ok(await fallsTo(0, isOpen));
    test.same(await other.read(0, 2000), one.subarray(0, 2000));
    await other.disconnect();
    await daemon.stop(test);
  },
);

await t.test('what is wrong is refused, and nothing changes', async (test) => {
  const { daemon, state } = await start(test);
  for (const [words, code, message] of [
    [['add', 'own', path('two')], 1, /"own": it is one of the configuration/],
    [['rm', 'own'], 1, /"own": it is one of the configuration/],
    [['rm', 'none'], 1, /no export named "none"/],
    [['add', 'web', path('missing')], 1, /missing/],
    [['add', 'web', './nothing'], 1, /nothing/],
    [['add', 'web'], 2, /name an image/],
    [['add'], 2, /name an export/],
    [['rm'], 2, /name an export/],
    [['ls', 'web'], 2, /takes no name/],
    [['rm', 'web', 'other'], 2, /takes one name/],
    [['ad', 'web', path('two')], 2, /"ad": not one of ls, add, rm; did you mean add\?/],
    [['add', 'web', path('two'), '--partition', '1'], 1, /no partition table/],
  ] as const) {
    const { code: ended, stderr } = await exportsCommand(state, ...words);
    test.match({ code: ended, stderr }, { code, stderr: message }, words.join(' '));
  }
  const socket = socketOf(state);
  const one404 = await askRaw(socket, { path: '/v1/exports/none' });
  test.match(one404, { code: 404, body: /NOT_FOUND/ });
  const conflict = { method: 'PUT', path: '/v1/exports/own', body: `{"image":["${path('two')}"]}` };
  test.match(await askRaw(socket, conflict), { code: 409, body: /BUSY/ });
  test.same(await listed(state), [['own', 'served', false]]);
  await daemon.stop(test);
});

await t.test('hostile names are served, escaped, and kept', async (test) => {
  const world = await start(test);
  const { daemon, state } = world;
  const name = '\u001b]0;x\u0007"/?\u202e\n__proto__';
  const socket = socketOf(state);
  const at = `/v1/exports/${encodeURIComponent(name)}`;
  const put = { method: 'PUT', path: at, body: `{"image":["${path('two')}"]}` };
  const { code, body } = await askRaw(socket, put);
  test.equal(code, 200, body);
  test.same(unescaped(body), [], 'the answer is escaped');
  test.equal((JSON.parse(body) as { name: string }).name, name);
  test.equal((await askRaw(socket, { ...put, path: '/v1/exports/__proto__' })).code, 200);
  const { stdout } = await exportsCommand(state, 'ls');
  test.same(unescaped(stdout), []);
  test.same(unescaped(daemon.log), []);
  daemon.child.kill('SIGKILL');
  const next = await again(test, world);
  test.same(await read(next.daemon, name), two.subarray(0, 2000));
  test.same(await read(next.daemon, '__proto__'), two.subarray(0, 2000));
  test.equal((await askRaw(socket, { method: 'DELETE', path: at })).code, 204);
  test.same(await listed(state), [
    ['__proto__', 'served', true],
    ['own', 'served', false],
  ]);
  await next.daemon.stop(test);
});

await t.test('a reload keeps them, until the configuration has one of the name', async (test) => {
  const { daemon, state, config } = await start(test);
  await exportsCommand(state, 'add', 'web', path('two'));
  writeFileSync(config, JSON.stringify({ exports: { other: path('one') } }));
  test.equal((await runDaemon(['reload', '--state', state])).code, 0);
  test.same(await listed(state), [
    ['other', 'served', false],
    ['web', 'served', true],
  ]);
  writeFileSync(config, JSON.stringify({ exports: { web: path('one') } }));
  test.equal((await runDaemon(['reload', '--state', state])).code, 0);
  await daemon.waitForLines(/export "web": the configuration has one of this name now/);
  test.same(await read(daemon, 'web'), one.subarray(0, 2000));
  writeFileSync(config, JSON.stringify({ exports: {} }));
  test.equal((await runDaemon(['reload', '--state', state])).code, 0);
  test.same(await listed(state), [], 'the one that was added does not come back');
  await daemon.stop(test);
});

await t.test('kill -9 and an upgrade keep them; a bad one keeps no daemon away', async (test) => {
  const world = await start(test);
  const { state } = world;
  const late = join(shortFolder(test), 'late');
  writeFileSync(late, two);
  await exportsCommand(state, 'add', 'web', path('two'));
  await exportsCommand(state, 'add', 'late', late);
  world.daemon.child.kill('SIGKILL');
  writeFileSync(late, '');
  const next = await again(test, world);
  test.same(await read(next.daemon, 'web'), two.subarray(0, 2000));
  test.same((await listed(state))[0], ['late', 'failed', true]);
  test.equal((await exportsCommand(state, 'rm', 'late')).code, 0, 'a failed one can be removed');
  const { pid } = next.daemon.child;
  const upgraded = await runDaemon(['upgrade', '--state', state]);
  test.equal(upgraded.code, 0, upgraded.stderr);
  const successor = await successorOf(state, pid);
  test.teardown(() => process.kill(successor, 'SIGKILL'));
  test.same(await listed(state), [
    ['own', 'served', false],
    ['web', 'served', true],
  ]);
  test.same(await read(next.daemon, 'web'), two.subarray(0, 2000));
  test.equal((await exportsCommand(state, 'rm', 'web')).code, 0);
  test.same(await listed(state), [['own', 'served', false]]);
});

await t.test('an image of a registry is added and listed by its name', async (test) => {
  const { front, files, name } = await remoteImage(test, {});
  const state = join(shortFolder(test), 'state');
  const options = remoteOptions([front], join(shortFolder(test), 'cache'));
  const daemon = await DaemonProcess.start(test, ['--on-demand', '--state', state, ...options]);
  await waitForControl(socketOf(state));
  const added = await exportsCommand(state, 'add', 'app', name);
  test.equal(added.code, 0, added.stderr);
  const client = await RawNbdClient.open(daemon.unix, 'app');
  test.same(await client.read(0, 4096), files.device.subarray(0, 4096));
  await client.disconnect();
  const { stdout } = await exportsCommand(state, 'ls');
  test.ok(stdout.startsWith(`export "app": ${name}: `), stdout);
  test.match(stdout, /; \d+ % of .* cached/);
  const none = await exportsCommand(state, 'add', 'none', front.name('test/none', 'x'));
  test.match(none, { code: 1, stderr: /test\/none/ });
  test.same(await listed(state), [['app', 'served', true]]);
  await daemon.stop(test);
});

await t.test(
  'what lies beside an export, and which of its layers: in a configuration and added',
  async (test) => {
    const own = shortFolder(test);
    const archives = ['lower', 'upper'].map((name) => join(own, `${name}.tar`));
    for (const [i, name] of archives.entries()) {
      writeFileSync(name, writeUstar([{ name: `file${i}`, bytes: Buffer.from('x') }]));
    }
    const { blob, tocBlob } = writeEstargz(lower, { form: 'eStargz with an external TOC' });
    const [layer, toc] = [join(own, 'layer'), join(own, 'toc')];
    writeFileSync(layer, blob);
    writeFileSync(toc, tocBlob as Buffer);
    const world = await start(test, {
      all: archives,
      one: { image: archives, layer: 1 },
      table: { image: layer, tocBlob: toc },
      bad: { image: archives, layer: 2 },
    });
    const { state } = world;
    const alone = await exportsCommand(state, 'add', 'zero', ...archives, '--layer', '0');
    test.match(alone, { code: 0, stdout: /1 layer of files/ }, alone.stderr);
    const added = await exportsCommand(state, 'add', 'toc', layer, '--toc-blob', toc);
    test.match(added, { code: 0, stdout: /eStargz with an external TOC/ }, added.stderr);
    test.match(await exportsCommand(state, 'add', 'none', layer), { code: 1, stderr: /external/ });
    test.match(await exportsCommand(state, 'ls', '--layer', '0'), {
      code: 2,
      stderr: /exports add/,
    });
    const expected = {
      all: ['/', '/file0', '/file1'],
      one: ['/', '/file1'],
      table: ['/', '/bin', '/bin/gone', '/bin/noise'],
      zero: ['/', '/file0'],
      toc: ['/', '/bin', '/bin/gone', '/bin/noise'],
    };
    const areServed = async (daemon: DaemonProcess): Promise<void> => {
      for (const [name, paths] of Object.entries(expected)) {
        const tree = await servedTree(daemon.unix, name);
        test.same(
          tree?.map((line) => line.path),
          paths,
          name,
        );
      }
    };
    await areServed(world.daemon);
    test.match(await listed(state), [
      ['all', 'served', false],
      ['bad', 'failed', false],
    ]);
    await world.daemon.stop(test);
    const later = await again(test, world);
    await areServed(later.daemon);
    await later.daemon.stop(test);
  },
);
