// How image/ sees the fetcher: local images are resolved without it, and all else is passed on as it is.
import { readFileSync } from 'node:fs';
import t from 'tap';
import type { RegistryRef } from '../../../daemon/blob/blob-ref.js';
import { ChunkMap } from '../../../daemon/blob/chunk-map.js';
import { DEFAULT_REGISTRY_SETTINGS } from '../../../daemon/config/registry-settings.js';
import type { FetchClient } from '../../../daemon/fetch/client.js';
import { Fetcher } from '../../../daemon/fetch/fetcher.js';
import { FetchedImages, FetcherRemote } from '../../../daemon/fetch/remote.js';
import type { ResolveQuestion } from '../../../daemon/fetch/messages.js';
import { silentLog } from '../../support/cached-blobs.js';
import { shortFolder } from '../../support/daemon-process.js';
import { LayoutWriter } from '../../support/layout-writer.js';
import { imageManifest } from '../../support/memory-registry.js';

const ENTRY = new URL('../../support/fetch-worker.js', import.meta.url);
const SIZE = 1 << 20;
const REF: RegistryRef = {
  kind: 'registry',
  host: 'registry.example',
  repository: 'repo',
  digest: 'sha256:one',
  size: SIZE,
};

await t.test('references go to the fetcher with what is asked at that time', async (test) => {
  const calls: unknown[][] = [];
  const client = new Proxy(
    {},
    {
      get:
        (_target, name) =>
        (...args: unknown[]) =>
          calls.push([name, ...args]),
    },
  ) as FetchClient;
  let question: ResolveQuestion = { platform: null, pull: 'newer' };
  const images = new FetchedImages(client, () => question);
  await images.resolve('docker://redis:7');
  question = { platform: 'linux/arm64', pull: 'never' };
  await images.resolve('registry.example/a');
  await images.open(REF);
  images.close(1);
  await images.want(1, 2, 3);
  images.hint(1, 4, 5);
  await images.refetch(1, 6, 7);
  test.same(calls, [
    ['resolve', 'docker://redis:7', { platform: null, pull: 'newer' }],
    ['resolve', 'registry.example/a', { platform: 'linux/arm64', pull: 'never' }],
    ['open', REF],
    ['close', 1],
    ['want', 1, 2, 3],
    ['hint', 1, 4, 5],
    ['refetch', 1, 6, 7],
  ]);
});

function started(test: { teardown(end: () => Promise<void>): void }) {
  const fetcher = new Fetcher(DEFAULT_REGISTRY_SETTINGS, silentLog(), ENTRY);
  test.teardown(() => fetcher.close());
  const remote = new FetcherRemote(fetcher, () => ({ platform: 'linux/amd64', pull: 'missing' }));
  return { fetcher, remote };
}

await t.test('images of this machine are resolved without the thread', async (test) => {
  const layout = new LayoutWriter(shortFolder(test));
  const layer = layout.blob(readFileSync(new URL(import.meta.url)));
  layout.manifest(imageManifest([layer]), 'v1');
  const { fetcher, remote } = started(test);
  const { lowers } = await remote.images().resolve(`oci:${layout.folder}:v1`);
  test.match(lowers, [{ kind: 'file', path: layout.pathOf(String(layer['digest'])) }]);
  test.equal(fetcher.isRunning, false);
});

await t.test(
  'threads get lines of their own, and blobs outlive the one that opened them',
  async (test) => {
    const { fetcher, remote } = started(test);
    test.equal(remote.connect(), null, 'nothing remote has been opened');
    const images = remote.images();
    test.equal(remote.images(), images);
    const line = remote.connect();
    test.match(line, { platform: 'linux/amd64', pull: 'missing' });
    if (!line) return;
    const other = FetchedImages.of(line);
    const spec = await other.open(REF);
    await other.want(spec.blob, 0, 1);
    remote.adopt(REF, spec);
    other.close(spec.blob);
    await images.want(spec.blob, 2, 3);
    test.ok(new ChunkMap(spec.state, SIZE).hasAll(0, 3));
    images.close(spec.blob);
    test.equal(fetcher.isRunning, true);
  },
);
