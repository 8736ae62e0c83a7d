// The main thread's handle of the fetcher, with a thread whose registry is a fake: start, ends, starts again.
import { Worker } from 'node:worker_threads';
import t from 'tap';
import type { RegistryRef } from '../../../daemon/blob/blob-ref.js';
import { ChunkMap } from '../../../daemon/blob/chunk-map.js';
import { DEFAULT_REGISTRY_SETTINGS } from '../../../daemon/config/registry-settings.js';
import { FetchClient } from '../../../daemon/fetch/client.js';
import { realClock } from '../../../daemon/fetch/clock.js';
import { Fetcher } from '../../../daemon/fetch/fetcher.js';
import { FakeBlob } from '../../support/fetch-fakes.js';

const ENTRY = new URL('../../support/fetch-worker.js', import.meta.url);
const SIZE = 1 << 20;

function refOf(name: string, repository = 'repo'): RegistryRef {
  return {
    kind: 'registry',
    host: 'registry.example',
    repository,
    digest: `sha256:${name}`,
    size: SIZE,
  };
}

function started(test: { teardown(end: () => Promise<void>): void }, fetchDeadline = 20) {
  const lines: string[] = [];
  const settings = { ...DEFAULT_REGISTRY_SETTINGS, fetchDeadline };
  const fetcher = new Fetcher(settings, { log: (_level, message) => lines.push(message) }, ENTRY);
  test.teardown(() => fetcher.close());
  /** Waits for a line: there is no other sign. */
  const line = async (pattern: RegExp): Promise<void> => {
    while (!lines.some((each) => pattern.test(each))) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  return { fetcher, lines, line, settings };
}

await t.test('the thread starts with the first question, and chunks come', async (test) => {
  const { fetcher, lines, line } = started(test);
  const client = fetcher.client();
  test.equal(fetcher.isRunning, false);
  test.equal(await fetcher.status(), null);
  const spec = await client.open(refOf('one'));
  test.equal(fetcher.isRunning, true);
  await line(/^heap \d+ MiB$/);
  test.same(
    lines.filter((each) => each.startsWith('heap')),
    ['heap 512 MiB'],
  );
  const map = new ChunkMap(spec.state, SIZE);
  test.equal(map.count(), 0);
  await Promise.all([client.want(spec.blob, 0, 3), client.want(spec.blob, 2, 5)]);
  test.ok(map.hasAll(0, 5));
  test.equal(client.waiting, 0);
  await test.rejects(client.want(spec.blob, 10, 16), { code: 'IO', message: /no chunks 10 to 16/ });
  await test.rejects(client.want(77, 0, 0), { code: 'IO', message: /blob 77 is not open/ });
  test.ok(await fetcher.status());
});

await t.test('other threads have clients of their own', async (test) => {
  const { fetcher, line } = started(test);
  const [one, two] = [new FetchClient(fetcher.connect()), new FetchClient(fetcher.connect())];
  const [first, second] = await Promise.all([one.open(refOf('shared')), two.open(refOf('shared'))]);
  test.equal(first.blob, second.blob);
  await two.want(first.blob, 0, 0);
  one.close(first.blob);
  await two.want(first.blob, 1, 1);
  two.shut();
  await line(/^closing sha256:shared/);
  await test.rejects(two.want(first.blob, 2, 2), { code: 'BUSY' });
});

await t.test('what a thread has opened stays open when the main thread adopts it', async (test) => {
  const { fetcher, lines } = started(test);
  const opener = new FetchClient(fetcher.connect());
  const spec = await opener.open(refOf('adopted'));
  const other = await opener.open(refOf('left'));
  fetcher.adopt(refOf('adopted'), spec);
  opener.shut();
  const client = fetcher.client();
  await client.want(spec.blob, 0, 0);
  while (!lines.some((each) => each === 'closing sha256:left')) await client.status();
  await test.rejects(client.want(other.blob, 0, 0), { code: 'IO' });
  client.close(spec.blob);
  while (!lines.some((each) => each === 'closing sha256:adopted')) await client.status();
  test.pass();
});

await t.test(
  'after its death, blobs keep their numbers and reads are asked again',
  async (test) => {
    const { fetcher, lines } = started(test);
    const client = fetcher.client();
    const other = new FetchClient(fetcher.connect());
    const spec = await client.open(refOf('known'));
    const dies = await client.open(refOf('fatal', 'dies once'));
    await client.want(spec.blob, 0, 0);
    const digests = new FakeBlob(SIZE, 'h', 'known').chunkDigests();
    await client.setDigests(spec.blob, digests, null);
    await Promise.all([
      client.want(dies.blob, 0, 0),
      client.want(spec.blob, 1, 1),
      other.open(refOf('meanwhile')),
    ]);
    const map = new ChunkMap(spec.state, SIZE);
    test.ok(map.hasAll(0, 1), 'in the same map');
    await client.want(spec.blob, 2, 2);
    test.ok(map.has(2));
    client.close(spec.blob);
    const closing = `closing ${spec.digest}: ${digests.expected(0)}`;
    while (!lines.some((each) => each === closing)) await client.status();
    test.equal(
      lines.filter((each) => each.startsWith('the fetcher died: Error: the thread dies')).length,
      1,
    );
    test.equal(
      lines.filter((each) => each.startsWith('the fetcher ended; starting it again in 100 ms; '))
        .length,
      1,
    );
  },
);

await t.test('a read that kills each fetcher is refused, and others are answered', async (test) => {
  const { fetcher } = started(test);
  const client = fetcher.client();
  const good = await client.open(refOf('good'));
  const poison = await client.open(refOf('poison', 'dies'));
  const refused = test.rejects(client.want(poison.blob, 0, 0), {
    code: 'IO',
    message: 'the fetcher ended 3 times while it had this request',
  });
  await refused;
  await client.want(good.blob, 0, 15);
  test.equal(client.waiting, 0);
});

await t.test(
  'a silent registry fails a read in time, with the code of registries',
  async (test) => {
    const { fetcher } = started(test, 0.4);
    // A thread that gets no time may answer after a client has given up by itself: this one waits for the answer.
    const client = new FetchClient(fetcher.connect(), {
      ...realClock,
      after: () => () => undefined,
    });
    const silent = await client.open(refOf('silent', 'silent'));
    await test.rejects(client.want(silent.blob, 0, 0), {
      code: 'REMOTE',
      message:
        /bytes 0-65535 did not come from registry.example within .* s; the last error: nothing was heard/,
      facts: { host: 'registry.example', digest: 'sha256:silent', range: '0-65535' },
    });
  },
);

await t.test('settings reach the fetcher and the clients', async (test) => {
  const { fetcher, line, settings } = started(test);
  const client = fetcher.client();
  const silent = await client.open(refOf('silent', 'silent'));
  fetcher.update({ ...settings, fetchDeadline: 0.3 });
  await line(/^deadline 0.3$/);
  await test.rejects(client.want(silent.blob, 0, 0), { code: 'REMOTE' });
});

await t.test('at the end, what waits fails at once', async (test) => {
  const { fetcher } = started(test);
  const client = fetcher.client();
  const silent = await client.open(refOf('silent', 'silent'));
  const waiting = test.rejects(client.want(silent.blob, 0, 0), { code: 'BUSY' });
  await fetcher.close();
  await waiting;
  await test.rejects(client.open(refOf('late')), { code: 'BUSY' });
  test.equal(client.waiting, 0);
});

await t.test('a thread with an idle client ends by itself', async (test) => {
  const { fetcher } = started(test);
  const control = fetcher.connect();
  const client = new URL('../../../daemon/fetch/client.js', import.meta.url).href;
  const worker = new Worker(
    `import(${JSON.stringify(client)}).then(async ({ FetchClient }) => {
      const { workerData, parentPort } = require('node:worker_threads');
      const client = new FetchClient(workerData);
      const spec = await client.open(${JSON.stringify(refOf('idle'))});
      await client.want(spec.blob, 0, 0);
      parentPort.postMessage('read');
    })`,
    { eval: true, workerData: control, transferList: [control] },
  );
  const messages: unknown[] = [];
  worker.on('message', (message) => messages.push(message));
  const code = await new Promise((resolve) => worker.on('exit', resolve));
  test.equal(code, 0);
  test.same(messages, ['read']);
});
