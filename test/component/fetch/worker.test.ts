// The fetcher with all its parts: a registry on this machine, a cache in a folder, and threads that read.
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import type { RegistryRef } from '../../../daemon/blob/blob-ref.js';
import { CachedSource } from '../../../daemon/blob/cached-source.js';
import { CHUNK_SIZE, ChunkMap } from '../../../daemon/blob/chunk-map.js';
import { readFully } from '../../../daemon/blob/source.js';
import {
  DEFAULT_REGISTRY_SETTINGS,
  type RegistrySettings,
} from '../../../daemon/config/registry-settings.js';
import { Fetcher } from '../../../daemon/fetch/fetcher.js';
import type { ReadingTask } from '../../support/reading-worker.js';

const MORTAL = new URL('../../support/mortal-fetch-worker.js', import.meta.url);
const READER = new URL('../../support/reading-worker.js', import.meta.url);

const settingsOf = ({ host }: RegistryRef, cacheFolder: string): RegistrySettings => ({
  ...DEFAULT_REGISTRY_SETTINGS,
  plainHttp: [host],
  cacheFolder,
  cacheMinFree: 0,
});

/** A registry with one blob. Counts how often each chunk was sent. */
async function registryOf(test: { teardown(end: () => void): void }, blob: Buffer) {
  const sent = new Map<number, number>();
  const digest = `sha256:${createHash('sha256').update(blob).digest('hex')}`;
  let requests = 0;
  const server = createServer((request, response) => {
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    if (request.url !== `/v2/repo/blobs/${digest}` || from === undefined || to === undefined) {
      response.writeHead(404).end();
      return;
    }
    requests++;
    const [first, last] = [Number(from), Number(to)];
    for (let chunk = first / CHUNK_SIZE; chunk <= last / CHUNK_SIZE; chunk++) {
      sent.set(chunk, (sent.get(chunk) ?? 0) + 1);
    }
    response.writeHead(206, {
      'Content-Range': `bytes ${first}-${last}/${blob.length}`,
      'Content-Length': last - first + 1,
    });
    response.end(blob.subarray(first, last + 1));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  test.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const ref: RegistryRef = {
    kind: 'registry',
    host,
    repository: 'repo',
    digest,
    size: blob.length,
  };
  return { server, ref, sent, requests: () => requests };
}

await t.test('threads read a blob at random: right bytes, each fetched once', async (test) => {
  const original = new SharedArrayBuffer(8_000_123);
  const blob = Buffer.from(original);
  randomBytes(1 << 20).copy(blob);
  for (let at = 1 << 20; at < blob.length; at += 1 << 20) {
    blob.copy(blob, at, 0, Math.min(1 << 20, blob.length - at));
    blob.writeUInt32LE(at, at);
  }
  const { ref, sent, requests } = await registryOf(test, blob);
  const lines: string[] = [];
  const settings = settingsOf(ref, test.testdir());
  const fetcher = new Fetcher(settings, { log: (_level, message) => lines.push(message) });
  test.teardown(() => fetcher.close());
  const results = [1, 2].map(async (seed) => {
    const port = fetcher.connect();
    const task: ReadingTask = { port, ref, original, seed };
    const worker = new Worker(READER, { workerData: task, transferList: [port] });
    return (await once(worker, 'message')) as unknown[];
  });
  for (const [result] of await Promise.all(results)) test.match(result, { wrong: 0 });
  test.equal(sent.size, Math.ceil(blob.length / CHUNK_SIZE));
  test.same(
    [...sent.values()].filter((times) => times !== 1),
    [],
    'no chunk twice',
  );
  test.ok(requests() < sent.size, `${requests()} requests for ${sent.size} chunks`);
  test.same(lines, []);

  const client = fetcher.client();
  const progress = await client.warm([ref], () => undefined);
  test.same(progress, { bytes: blob.length, total: blob.length, cached: blob.length });
  const [entry] = await client.cache({ do: 'list' });
  test.match(entry, { digest: ref.digest, size: blob.length, isComplete: true });
  const status = await fetcher.status();
  test.match(status, { waiting: 0, oldestMs: 0, failed: [], elsewhere: 0 });
  const { demand = 0, ahead = 0 } = status?.bytes ?? {};
  test.equal(demand + ahead, blob.length);
});

await t.test(
  'a fetcher that dies again and again: right bytes, and what had come stays',
  async (test) => {
    const original = new SharedArrayBuffer(10_000_123);
    const blob = Buffer.from(original);
    for (let at = 0; at + 4 <= blob.length; at += 1024) blob.writeUInt32LE(at, at);
    const { ref, sent } = await registryOf(test, blob);
    const lines: string[] = [];
    const settings = settingsOf(ref, test.testdir());
    const log = { log: (_level: string, message: string) => void lines.push(message) };
    const fetcher = new Fetcher(settings, log, MORTAL);
    test.teardown(() => fetcher.close());
    const client = fetcher.client();
    const spec = await client.open(ref);
    const source = new CachedSource(spec, client);
    for (let i = 0; i < 5; i++) {
      const offset = i * 2_000_000;
      const length = Math.min(2_000_000, blob.length - offset);
      const reading = readFully(source, offset, length);
      if (i % 3 === 1) fetcher.update({ ...settings, platform: 'death' });
      test.ok((await reading).equals(blob.subarray(offset, offset + length)), `piece ${i}`);
      test.ok((await readFully(source, 0, 1000)).equals(blob.subarray(0, 1000)));
    }
    // What came before the last death is checked before it counts again.
    const { chunks } = new ChunkMap(spec.state, ref.size);
    await client.want(spec.blob, 0, chunks - 1);
    test.equal(new ChunkMap(spec.state, ref.size).count(), chunks);
    const again = [...sent.values()].reduce((sum, times) => sum + times - 1, 0);
    test.ok(again < 3 * 40, `${again} chunks were sent again`);
    const deaths = lines.filter((line) => line.includes('the platform is death')).length;
    test.ok(deaths >= 1, `${deaths} lines of deaths, which are counted`);
    client.close(spec.blob);
  },
);

await t.test('an open blob is filled in the background while there is a rate', async (test) => {
  const blob = randomBytes(3_000_000);
  const { ref, sent } = await registryOf(test, blob);
  const settings = settingsOf(ref, test.testdir());
  const fetcher = new Fetcher(settings, { log: (_level, message) => test.comment(message) });
  test.teardown(() => fetcher.close());
  const client = fetcher.client();
  const spec = await client.open(ref);
  await client.want(spec.blob, 0, 0);
  test.equal(sent.size, 1, 'nothing but what was wanted');
  fetcher.update({ ...settings, fillRate: 100_000_000 });
  const isComplete = async (): Promise<boolean> =>
    (await client.status()).blobs.every((each) => each.isComplete);
  while (!(await isComplete())) await new Promise((resolve) => setTimeout(resolve, 10));
  test.equal(sent.size, Math.ceil(blob.length / CHUNK_SIZE));
  test.ok([...sent.values()].every((times) => times === 1));
  test.ok((await readFully(new CachedSource(spec, client), 0, blob.length)).equals(blob));
  fetcher.update(settings);
  client.close(spec.blob);
});

await t.test(
  'a recorded trace, replayed with an empty cache, fetches what was used',
  async (test) => {
    const blob = randomBytes(8_000_000);
    const { ref, sent } = await registryOf(test, blob);
    const log = { log: (_level: string, message: string) => test.comment(message) };
    const folder = test.testdir();
    const [first, second] = ['first', 'second'].map((name) => {
      return new Fetcher(settingsOf(ref, join(folder, name)), log);
    });
    if (!first || !second) throw new Error('none');
    test.teardown(() => Promise.all([first.close(), second.close()]));
    const recorder = first.client();
    const recorded = await recorder.open(ref);
    await recorder.trace({ do: 'record', blobs: [recorded.blob] });
    const source = new CachedSource(recorded, recorder);
    for (const chunk of [50, 51, 52, 53, 3, 90]) await readFully(source, chunk * CHUNK_SIZE, 4096);
    const entries = await recorder.trace({ do: 'stop' });
    test.same(entries, [
      { digest: ref.digest, first: 50, last: 53 },
      { digest: ref.digest, first: 3, last: 3 },
      { digest: ref.digest, first: 90, last: 90 },
    ]);
    await first.close();
    sent.clear();
    const client = second.client();
    await client.open(ref);
    test.equal(await client.trace({ do: 'replay', entries: entries ?? [] }), 6);
    test.same(
      [...sent.keys()].toSorted((a, b) => a - b),
      [3, 50, 51, 52, 53, 90],
    );
  },
);
