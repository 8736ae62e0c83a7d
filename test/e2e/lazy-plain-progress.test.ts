// Ordinary images from a slow registry: how far an opening is, and what goes on meanwhile.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { MAX_BUSY_LANES } from '../../daemon/opener/host-lanes.js';
import { askRaw, socketOf, waitForControl } from '../support/control.js';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { detachByRecord } from '../support/detach-by-record.js';
import { RawNbdClient } from '../support/nbd-client.js';
import { randomBytes } from '../support/pattern.js';
import { gzip, LAYER, layers } from '../support/plain-image.js';
import { FaultFront } from '../support/registry/fault-front.js';
import { ImageLayout } from '../support/registry/image-layout.js';
import { sha256 } from '../support/registry/image-place.js';
import { pushFiles, type FilesLayer } from '../support/registry/push-image.js';
import { remoteImage, remoteOptions, REPOSITORY } from '../support/registry/remote-image.js';
import { listenAsManager } from '../support/service-manager.js';
import { until } from '../support/until.js';
import { writeUstar } from '../support/ustar.js';

t.setTimeout(600_000);

await t.test('how far an opening is, while others go on', async (test) => {
  const { front, layout, files } = await remoteImage(test, { front: { bytesPerSecond: 1 << 20 } });
  await pushFiles(layout, 'slow', layers.slice(0, 1));
  await pushFiles(
    layout,
    'slower',
    [0, 3].map((i) => layers[i] as FilesLayer),
  );
  const other = await remoteImage(test);
  await pushFiles(other.layout, 'fast', layers.slice(1, 2));
  // Neither at its start nor at its end, which are read first.
  const match = { kind: 'data', reference: sha256(gzip), covers: gzip.length - 600_000 } as const;
  const stalled = front.rule({ match, action: { do: 'stall' } });
  const folder = shortFolder(test);
  const [state, name] = [join(folder, 'state'), front.name(REPOSITORY, 'slow')];
  const options = remoteOptions([front, other.front], join(folder, 'cache'));
  const good = `good=${front.name(REPOSITORY, 'app')}`;
  const daemon = await DaemonProcess.start(test, ['-e', good, '--state', state, ...options]);
  const adding = runDaemon(['exports', 'add', 'slow', name, '--state', state]);
  const slower = front.name(REPOSITORY, 'slower');
  const addingSlower = runDaemon(['exports', 'add', 'slower', slower, '--state', state]);
  await daemon.waitForLines(/test\/app:slow: layer 1 of 1 is being read: \d+ % of/);
  await daemon.waitForLines(/test\/app:slower: layer \d of 2 is being read: \d+ % of/);
  // Two images of one registry wait for it; one of another registry does not wait for these.
  const fast = other.front.name(REPOSITORY, 'fast');
  const third = await runDaemon(['exports', 'add', 'fast', fast, '--state', state]);
  test.equal(third.code, 0, third.stderr);
  const { stdout } = await runDaemon(['status', '--state', state]);
  test.match(
    stdout,
    /^opening \S*test\/app:slow: layer 1 of 1 is being read: \d+ % of [\d.]+ MiB$/m,
  );
  const client = await RawNbdClient.open(daemon.unix, 'good');
  test.same(await client.read(0, 4096), files.device.subarray(0, 4096));
  await client.disconnect();
  stalled.release();
  for (const added of await Promise.all([adding, addingSlower])) {
    test.equal(added.code, 0, added.stderr);
  }
  const after = await runDaemon(['status', '--state', state]);
  test.notMatch(after.stdout, /^opening /m);
  await daemon.stop(test);
});

await t.test(
  'the only image of a daemon: status, manager and SIGTERM before it is open',
  async (test) => {
    const { front, layout } = await remoteImage(test, { front: { bytesPerSecond: 1 << 20 } });
    await pushFiles(layout, 'slow', layers.slice(0, 1));
    const match = { kind: 'data', reference: sha256(gzip), covers: gzip.length - 600_000 } as const;
    const stalled = front.rule({ match, action: { do: 'stall' } });
    const folder = shortFolder(test);
    const state = join(folder, 'state');
    const manager = await listenAsManager(test, join(folder, 'notify'));
    const args = [front.name(REPOSITORY, 'slow'), '--state', state];
    const options = { variables: { NOTIFY_SOCKET: join(folder, 'notify') } };
    const all = [...args, ...remoteOptions([front], join(folder, 'cache'))];
    const daemon = DaemonProcess.launch(test, all, options);
    await daemon.waitForLines(/test\/app:slow: layer 1 of 1 is being read/);
    await waitForControl(socketOf(state));
    const image = String.raw`\S*test/app:slow`;
    const { stdout, code } = await runDaemon(['status', '--state', state]);
    test.equal(code, 0);
    test.match(stdout, /^export "": the daemon is starting: its image is being opened, since /m);
    test.match(stdout, new RegExp(`^opening ${image}: layer 1 of 1 is being read: \\d+ % of`, 'm'));
    await detachByRecord(test, state);
    const refused = await askRaw(socketOf(state), { method: 'POST', path: '/v1/reload' });
    test.match(refused, { code: 409, body: /"BUSY"[^]*the daemon is starting/ });
    if (manager) {
      const { received } = manager;
      const extended = new RegExp(
        `^EXTEND_TIMEOUT_USEC=150000000\nSTATUS=opening ${image}: layer 1`,
      );
      await until(() => received.some((each) => extended.test(each)));
      test.notOk(received.some((each) => each.startsWith('READY')));
    }
    await daemon.stop(test);
    test.notOk(existsSync(socketOf(state)));
    if (manager) await until(() => manager.received.includes('STOPPING=1'));
    stalled.release();
  },
);

await t.test('images of registries that stall take no room from one of another', async (test) => {
  const [registries, images] = [10, 20];
  const slow: string[] = [];
  const stalls: { readonly hits: number }[] = [];
  const layout = new ImageLayout(join(shortFolder(test), 'layout'));
  const repositories = { [REPOSITORY]: layout };
  const start = (): Promise<FaultFront> => FaultFront.start(test, { repositories });
  const fronts = await Promise.all(Array.from({ length: registries }, start));
  for (let i = 0; i < images; i++) {
    const bytes = writeUstar([{ name: 'noise', bytes: randomBytes(20 + i, 4_000_000) }]);
    await pushFiles(layout, `slow${i}`, [{ bytes, mediaType: LAYER }]);
    const front = fronts[i % registries] as FaultFront;
    const match = { kind: 'data', reference: sha256(bytes), covers: 3_000_000 } as const;
    stalls.push(front.rule({ match, action: { do: 'stall' } }));
    slow.push('-e', `slow${i}=${front.name(REPOSITORY, `slow${i}`)}`);
  }
  const other = await start();
  await pushFiles(layout, 'good', layers.slice(0, 1));
  const folder = shortFolder(test);
  const state = join(folder, 'state');
  const options = remoteOptions([...fronts, other], join(folder, 'cache'), 600);
  const daemon = await DaemonProcess.start(test, [...slow, '--state', state, ...options]);
  // As many as may work at the same time have asked for what does not come.
  await until(() => stalls.filter(({ hits }) => hits > 0).length >= MAX_BUSY_LANES);
  const good = other.name(REPOSITORY, 'good');
  const added = await runDaemon(['exports', 'add', 'good', good, '--state', state]);
  test.equal(added.code, 0, added.stderr);
  const { stdout } = await runDaemon(['status', '--state', state]);
  const opening = stdout
    .split('\n')
    .filter((line) => /^export "slow\d+": .*still being opened/.test(line));
  test.equal(opening.length, images, stdout);
  await daemon.stop(test);
});
