// What a daemon does that starts without what it needs: a registry that is down or refuses the login, a cache that
// cannot be written. And images that are named in other ways than by a reference.
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as tick } from 'node:timers/promises';
import t from 'tap';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { RawNbdClient } from '../support/nbd-client.js';
import { pushImage } from '../support/registry/push-image.js';
import {
  compare,
  comparePatiently,
  openPatiently,
  remoteImage,
  remoteOptions,
  REPOSITORY,
} from '../support/registry/remote-image.js';
import { findTool, mustRun, requireTool, runTool } from '../support/tools.js';

t.setTimeout(170_000);

const MIB = 1 << 20;

await t.test(
  'a registry that is down: other exports are served, and the image when it is back',
  async (test) => {
    const { front, files, name } = await remoteImage(test);
    const folder = shortFolder(test);
    const local = join(folder, 'local.img');
    writeFileSync(local, files.device);
    const config = join(folder, 'daemon.json');
    writeFileSync(config, JSON.stringify({ exports: { local, remote: name } }));
    await front.die();
    const options = remoteOptions([front], join(folder, 'cache'), 2);
    const daemon = await DaemonProcess.start(test, ['--config', config, ...options]);
    const client = await RawNbdClient.open(daemon.unix, 'local');
    test.equal(await compare(client, files.device), null);
    client.destroy();
    await daemon.waitForLines(new RegExp(`"remote".*${front.host}`), 1, 60_000);
    await front.revive();
    const late = await openPatiently(daemon.unix, 'remote');
    test.equal(await comparePatiently(late, files.device), null);
    late.destroy();
    await daemon.stop(test);
  },
);

await t.test('a login that is refused, and then is not', async (test) => {
  const auth = { scheme: 'basic', users: { user: 'new' } } as const;
  const { front, files, name } = await remoteImage(test, { front: { auth } });
  const folder = shortFolder(test);
  const [logins, config] = [join(folder, 'config.json'), join(folder, 'daemon.json')];
  const logIn = (password: string): void => {
    const code = Buffer.from(`user:${password}`).toString('base64');
    writeFileSync(logins, JSON.stringify({ auths: { [front.host]: { auth: code } } }));
  };
  logIn('old-secret');
  writeFileSync(config, JSON.stringify({ exports: { remote: name } }));
  const options = [
    ...remoteOptions([front], join(folder, 'cache'), 2),
    '--registry-config',
    logins,
  ];
  const daemon = await DaemonProcess.start(test, ['--config', config, ...options]);
  const [line = ''] = await daemon.waitForLines(/"remote".*401/, 1, 60_000);
  test.ok(line.includes(`run "docker login ${front.host}"`), line);
  test.ok(line.includes(`comes from ${logins}`), line);
  logIn('new');
  const client = await openPatiently(daemon.unix, 'remote');
  test.equal(await comparePatiently(client, files.device), null);
  client.destroy();
  await daemon.stop(test);
  test.notMatch(daemon.log, /old-secret|dXNlcjpvbGQtc2VjcmV0/, 'no secret in the log');
});

await t.test('a login is looked for while the manifest is asked for', async (test) => {
  const auth = { scheme: 'bearer', users: { user: 'right' } } as const;
  const { front, files, name } = await remoteImage(test, { front: { auth } });
  const folder = shortFolder(test);
  const asked = join(folder, 'asked');
  const login = JSON.stringify({ ServerURL: front.host, Username: 'user', Secret: 'right' });
  writeFileSync(
    join(folder, 'docker-credential-test'),
    `#!/bin/sh\necho >>${asked}\ncat >/dev/null\necho '${login}'\n`,
    { mode: 0o755 },
  );
  writeFileSync(
    join(folder, 'config.json'),
    JSON.stringify({ credHelpers: { [front.host]: 'test' } }),
  );
  const stalled = front.rule({ match: { kind: 'manifest' }, action: { do: 'stall' } });
  const args = [name, ...remoteOptions([front], join(folder, 'cache'))];
  const variables = { DOCKER_CONFIG: folder, PATH: `${folder}:${process.env['PATH']}` };
  const starting = DaemonProcess.start(test, args, { variables });
  while (!existsSync(asked)) await tick(5);
  test.equal(front.log.filter({ kind: 'token' }).length, 0, 'nothing has asked for it');
  stalled.release();
  front.rules.clear();
  const daemon = await starting;
  const client = await RawNbdClient.open(daemon.unix);
  test.equal(await compare(client, files.device), null);
  client.destroy();
  test.equal(readFileSync(asked, 'utf8'), '\n', 'the helper ran once');
  await daemon.stop(test);
});

await t.test('a cache that cannot be made', async (test) => {
  const { front, files, name } = await remoteImage(test);
  const args = [name, ...remoteOptions([front], '/proc/self/cache')];
  const daemon = await DaemonProcess.start(test, args);
  const client = await openPatiently(daemon.unix);
  for (let i = 0; i < 3; i++) test.equal(await compare(client, files.device), null);
  client.destroy();
  await daemon.stop(test);
});

await t.test('a disk that is full', async (test) => {
  const { front, files, name, image } = await remoteImage(test, { files: { size: 8 * MIB } });
  const cache = shortFolder(test);
  const mount = `mount -t tmpfs -o size=2m none ${cache} && exec "$@"`;
  const prefix = ['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c', mount, 'sh'];
  const [program = '', ...words] = prefix;
  if (findTool(program) === null || (await runTool(program, [...words, 'true'])).code !== 0) {
    console.error(`${test.fullname}: NOT TESTED, no mount in a user namespace`);
    return void test.pass('a full disk', { skip: 'NOT TESTED, no mount in a user namespace' });
  }
  const args = [name, ...remoteOptions([front], cache)];
  const daemon = await DaemonProcess.start(test, args, { prefix });
  const client = await openPatiently(daemon.unix);
  for (let i = 0; i < 2; i++) test.equal(await compare(client, files.device), null);
  const size = image.layers.reduce((sum, each) => sum + each.size, 0);
  test.ok(size > 2 * MIB, `${size} bytes`);
  await daemon.waitForLines(/cache/);
  client.destroy();
  await daemon.stop(test);
});

await t.test('a config.v1.json with blobs of a registry and a local layer', async (test) => {
  const { front, files, image } = await remoteImage(test);
  const folder = shortFolder(test);
  const config = join(folder, 'config.v1.json');
  const [base, middle] = image.layers;
  const lowers = [
    { digest: base?.digest, size: base?.size, dir: join(folder, 'base') },
    { digest: middle?.digest, size: middle?.size, dir: join(folder, 'middle') },
    { file: files.blobs[2] },
  ];
  const repoBlobUrl = `${front.url}/v2/${REPOSITORY}/blobs`;
  writeFileSync(config, JSON.stringify({ repoBlobUrl, lowers, upper: {}, resultFile: '' }));
  const options = remoteOptions([front], join(folder, 'cache'));
  const daemon = await DaemonProcess.start(test, [config, ...options]);
  const client = await openPatiently(daemon.unix);
  test.equal(await compare(client, files.device), null);
  client.destroy();
  await daemon.stop(test);
  test.equal(front.log.filter({ kind: 'manifest' }).length, 0, 'no manifest is needed');
});

await t.test('a config.v1.json is read again at each opening', async (test) => {
  const { front, files, image } = await remoteImage(test);
  const folder = shortFolder(test);
  const [state, config, daemonConfig] = ['state', 'config.v1.json', 'daemon.json'].map((name) =>
    join(folder, name),
  ) as [string, string, string];
  const repoBlobUrl = `${front.url}/v2/${REPOSITORY}/blobs`;
  const remote = image.layers.map(({ digest, size }, i) => {
    return { digest, size, dir: join(folder, `${i}`) };
  });
  const write = (lowers: readonly object[]): void =>
    writeFileSync(config, JSON.stringify({ repoBlobUrl, lowers, upper: {}, resultFile: '' }));
  write(remote.slice(0, 1));
  writeFileSync(daemonConfig, JSON.stringify({ exports: { app: config } }));
  const options = remoteOptions([front], join(folder, 'cache'));
  const serve = ['--config', daemonConfig, '--state', state, ...options];
  const daemon = await DaemonProcess.start(test, serve);
  const before = await openPatiently(daemon.unix, 'app');
  test.not(await compare(before, files.device), null, 'only its first layer');
  // As a snapshotter does it: more layers, and one of them is on the disk by now.
  mkdirSync(join(folder, '0'));
  copyFileSync(files.blobs[0] ?? '', join(folder, '0', 'overlaybd.commit'));
  write(remote);
  const reloaded = await runDaemon(['reload', '--state', state]);
  test.equal(reloaded.code, 0, reloaded.stderr);
  const after = await openPatiently(daemon.unix, 'app');
  test.equal(await compare(after, files.device), null);
  for (const client of [before, after]) client.destroy();
  await daemon.stop(test);
});

await t.test('an archive of docker save', async (test) => {
  if (!requireTool(test, 'skopeo')) return;
  const { front, files, layout } = await remoteImage(test);
  await pushImage(layout, { blobs: files.blobs, tag: 'save', writer: 'buildkit' });
  const archive = join(shortFolder(test), 'image.tar');
  await mustRun('skopeo', [
    '--insecure-policy',
    'copy',
    `oci:${layout.folder}:save`,
    `docker-archive:${archive}:app:latest`,
  ]);
  test.ok(statSync(archive).size > MIB);
  await front.die();
  const daemon = await DaemonProcess.start(test, [`docker-archive:${archive}`, '--offline']);
  const client = await openPatiently(daemon.unix);
  test.equal(await compare(client, files.device), null);
  client.destroy();
  await daemon.stop(test);
});
