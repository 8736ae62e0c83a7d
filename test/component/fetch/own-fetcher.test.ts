// The fetcher of one command: its thread starts only if something is asked of it, and ends with the command.
import { join } from 'node:path';
import { test } from 'tap';
import { DEFAULT_REGISTRY_SETTINGS } from '../../../daemon/config/registry-settings.js';
import type { Fetcher } from '../../../daemon/fetch/fetcher.js';
import { withFetcher } from '../../../daemon/fetch/own-fetcher.js';
import { shortFolder } from '../../support/daemon-process.js';
import { silentLog } from '../../support/cached-blobs.js';

await test('a command that opens files only starts no thread', async (t) => {
  const result = await withFetcher(DEFAULT_REGISTRY_SETTINGS, silentLog(), (remote, fetcher) => {
    t.equal(remote.connect(), null);
    return Promise.resolve(fetcher.isRunning);
  });
  t.equal(result, false);
});

await test('the thread ends with the command, also if that fails', async (t) => {
  const cacheFolder = join(shortFolder(t), 'cache');
  const settings = { ...DEFAULT_REGISTRY_SETTINGS, cacheFolder, offline: true };
  const used: Fetcher[] = [];
  const list = await withFetcher(settings, silentLog(), async (_remote, fetcher) => {
    used.push(fetcher);
    const entries = await fetcher.client().cache({ do: 'list' });
    t.equal(fetcher.isRunning, true);
    return entries;
  });
  t.same(list, []);
  const failing = withFetcher(settings, silentLog(), async (remote, fetcher) => {
    used.push(fetcher);
    await remote.images().resolve('docker://registry.example/app:1');
  });
  await t.rejects(failing, { message: /offline|never/ });
  t.same(
    used.map(({ isRunning }) => isRunning),
    [false, false],
  );
});
