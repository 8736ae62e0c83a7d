// The control API about registries, with raw HTTP against the real daemon and a registry of this process: the cache,
// hosts, warming, traces.
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type {
  CacheState,
  ErrorAnswer,
  HostList,
  TraceAnswer,
  WarmStatus,
} from '../../daemon/control/api.js';
import { parseTrace } from '../../daemon/fetch/trace-file.js';
import { askRaw, socketOf, waitForControl } from '../support/control.js';
import { DaemonProcess, shortFolder } from '../support/daemon-process.js';
import { writeRaw } from '../support/e2e-images.js';
import { RawNbdClient, tick } from '../support/nbd-client.js';
import {
  compare,
  remoteImage,
  remoteOptions,
  type RemoteImage,
} from '../support/registry/remote-image.js';

t.setTimeout(600_000);

interface World {
  readonly daemon: DaemonProcess;
  /** @returns the HTTP status, and the value of the body */
  readonly ask: <T>(method: string, path: string, body?: unknown) => Promise<[number, T]>;
}

async function start(test: Test, ...args: string[]): Promise<World> {
  const state = join(shortFolder(test), 'state');
  const daemon = await DaemonProcess.start(test, [...args, '--state', state]);
  await waitForControl(socketOf(state));
  const ask = async <T>(method: string, path: string, body?: unknown): Promise<[number, T]> => {
    const text = body === undefined ? {} : { body: JSON.stringify(body) };
    const answer = await askRaw(socketOf(state), { method, path, ...text });
    return [answer.code, (answer.body === '' ? null : JSON.parse(answer.body)) as T];
  };
  return { daemon, ask };
}

async function serveRemote(test: Test, remote: RemoteImage): Promise<World> {
  const cache = join(shortFolder(test), 'cache');
  const secret = ['--mirror', 'docker.io=https://user:secret@m.example/v2?secret'];
  return start(
    test,
    '-e',
    `app=${remote.name}`,
    ...remoteOptions([remote.front], cache),
    ...secret,
  );
}

async function warmed({ ask }: World, id: string): Promise<WarmStatus> {
  for (;;) {
    const [, job] = await ask<WarmStatus>('GET', `/v1/warm/${id}`);
    if (job.state !== 'running') return job;
    await tick(20);
  }
}

await t.test('the cache and its users, and the hosts', async (test) => {
  const remote = await remoteImage(test, {});
  const world = await serveRemote(test, remote);
  const { ask, daemon } = world;
  const client = await RawNbdClient.open(daemon.unix, 'app');
  test.equal(await compare(client, remote.files.device), null);
  client.destroy();
  const digests = [...new Set(remote.image.layers.map(({ digest }) => digest))];

  const [code, { blobs, folder }] = await ask<CacheState>('GET', '/v1/cache');
  test.equal(code, 200);
  test.match(folder, /cache$/);
  test.same(new Set(blobs.map(({ digest }) => digest)), new Set(digests));
  test.ok(blobs.every(({ exports, isUsed }) => exports[0] === 'app' && isUsed));
  const [inUse, why] = await ask<ErrorAnswer>('DELETE', `/v1/cache/${digests[0]}`);
  test.match(
    { inUse, why },
    { inUse: 409, why: { code: 'BUSY', message: /read from it: "app"$/ } },
  );
  test.match(await ask('DELETE', '/v1/cache/nonsense'), [404, { code: 'NOT_FOUND' }]);
  test.match(await ask('POST', '/v1/cache/gc'), [200, { freedBytes: Number }]);
  const [, verdict] = await ask<{ blobs: { bad: number }[] }>('POST', '/v1/cache/verify');
  test.ok(verdict.blobs.length > 0 && verdict.blobs.every(({ bad }) => bad === 0));

  const [, list] = await ask<HostList>('GET', '/v1/hosts');
  const { host } = remote.front;
  const known = list.hosts.find((each) => each.host === host);
  test.match(known, { requests: { 200: Number, 206: Number }, inFlight: 0 });
  test.ok(known?.roles.every(({ breaker }) => breaker === 'closed'));
  test.ok((known?.bytes ?? 0) > 0);
  test.same(list.mirrors, [{ host: 'docker.io', url: 'https://m.example/v2' }]);
  test.notMatch(JSON.stringify(list), 'secret');
  await daemon.stop(test);
});

await t.test(
  'an image is warmed; a job that runs is cancelled; one that fails says why',
  async (test) => {
    const remote = await remoteImage(test, {});
    const world = await serveRemote(test, remote);
    const { ask, daemon } = world;
    const { front } = remote;
    const image = `docker://${remote.name}`;

    const stalled = front.rules.add({ match: { kind: 'data' }, action: { do: 'stall' } });
    const [code, begun] = await ask<WarmStatus>('POST', '/v1/warm', { image });
    test.match([code, begun], [200, { id: '1', image, state: 'running', problem: null }]);
    test.match(await ask('POST', '/v1/warm', { image }), [200, { id: '1' }], 'it joins');
    // Reads of the registry come before: the job waits with its first byte.
    while (stalled.hits === 0) await tick(10);
    test.equal((await ask('DELETE', '/v1/warm/1'))[0], 204);
    test.match(await ask('GET', '/v1/warm/1'), [200, { state: 'cancelled' }]);
    test.equal((await ask('DELETE', '/v1/warm/1'))[0], 204);
    test.match(await ask('GET', '/v1/warm/1'), [404, { code: 'NOT_FOUND' }]);
    stalled.release();

    await ask('POST', '/v1/warm', { image });
    const done = await warmed(world, '2');
    test.match(done, { state: 'done', problem: null });
    test.equal(done.bytes, done.total);
    test.ok(done.total > 0);
    await ask('POST', '/v1/warm', { image: `docker://${front.name('test/none', 'x')}` });
    test.match(await warmed(world, '3'), { state: 'failed', problem: { code: 'NOT_FOUND' } });
    await ask('POST', '/v1/warm', { image: 'docker://UPPER CASE\u001b' });
    test.match(await warmed(world, '4'), { state: 'failed', problem: { code: String } });
    const [, { jobs }] = await ask<{ jobs: WarmStatus[] }>('GET', '/v1/warm');
    test.same(
      jobs.map(({ id }) => id),
      ['2', '3', '4'],
    );

    await front.die();
    const client = await RawNbdClient.open(daemon.unix, 'app');
    test.equal(await compare(client, remote.files.device), null, 'all of it is there');
    client.destroy();
    await daemon.stop(test);
  },
);

await t.test('a trace is recorded between two requests', async (test) => {
  const remote = await remoteImage(test, {});
  const { ask, daemon } = await serveRemote(test, remote);
  test.match(await ask('DELETE', '/v1/trace'), [404, { code: 'NOT_FOUND' }]);
  test.match(await ask('POST', '/v1/trace', { exports: ['none'] }), [404, { code: 'NOT_FOUND' }]);
  test.match(await ask('POST', '/v1/trace'), [200, { recording: { exports: ['app'] } }]);
  test.match(await ask('POST', '/v1/trace'), [409, { code: 'BUSY' }]);
  const client = await RawNbdClient.open(daemon.unix, 'app');
  test.equal(await compare(client, remote.files.device), null);
  client.destroy();
  test.match(await ask('GET', '/v1/trace'), [200, { recording: { exports: ['app'] } }]);
  const [code, { entries, trace }] = await ask<TraceAnswer>('DELETE', '/v1/trace');
  test.equal(code, 200);
  const parsed = parseTrace(trace, 'trace');
  test.equal(parsed.length, entries);
  const digests = new Set(remote.image.layers.map(({ digest }) => digest));
  test.ok(entries > 0 && parsed.every(({ digest }) => digests.has(digest)));
  test.same(await ask('GET', '/v1/trace'), [200, { recording: null }]);
  await daemon.stop(test);
});

await t.test('a daemon without images of registries', async (test) => {
  const image = join(shortFolder(test), 'disk.img');
  writeRaw(image, 1, 4096);
  const cache = join(shortFolder(test), 'cache');
  const { ask, daemon } = await start(test, image, '--cache-dir', cache);
  test.same(await ask('GET', '/v1/hosts'), [
    200,
    { hosts: [], mirrors: [], p2p: null, tokens: {} },
  ]);
  test.same(await ask('GET', '/v1/warm'), [200, { jobs: [] }]);
  test.match(await ask('POST', '/v1/trace'), [400, { code: 'BAD_ARGUMENT' }]);
  test.match(await ask('GET', '/v1/cache'), [200, { folder: cache, blobs: [] }]);
  await daemon.stop(test);
  const off = await start(test, image, '--cache-dir', '/proc/none');
  test.match(await off.ask('GET', '/v1/cache'), [200, { folder: null, degraded: String }]);
  await off.daemon.stop(test);
});
