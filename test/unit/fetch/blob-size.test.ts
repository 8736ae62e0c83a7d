// The size of a blob that no descriptor has: who is believed.
import { writeFileSync } from 'node:fs';
import { test, type Test } from 'tap';
import { CachedSource } from '../../../daemon/blob/cached-source.js';
import { readFully } from '../../../daemon/blob/source.js';
import { CacheFolder } from '../../../daemon/cache/folder.js';
import type { PullPolicy } from '../../../daemon/config/registry-settings.js';
import type { CacheStore } from '../../../daemon/cache/store.js';
import { sizeOfBlob } from '../../../daemon/fetch/blob-size.js';
import { BufferFetcher, openStore, refOf } from '../../support/cached-blobs.js';
import { tick } from '../../support/nbd-client.js';
import { randomBytes } from '../../support/pattern.js';

const CONTENT = randomBytes(1, 200_000);
const REF = refOf(CONTENT);

async function setUp(t: Test) {
  const folder = t.testdir();
  const store = await openStore(t, { cacheFolder: folder });
  const asked: string[] = [];
  let answer = CONTENT.length;
  const ask = (of: typeof REF = REF, pull: PullPolicy = 'newer'): Promise<number> =>
    sizeOfBlob(
      of,
      pull,
      {
        sizeOf: ({ repository }) => {
          asked.push(repository);
          if (answer < 0) return Promise.reject(new Error('no registry'));
          return Promise.resolve(answer);
        },
      },
      store,
    );
  return { folder, store, asked, ask, says: (size: number) => void (answer = size) };
}

/** Opens a blob by a manifest, and fetches its first chunk. */
async function fetchFirst(store: CacheStore, size: number): Promise<void> {
  const blob = await store.blob({ ...REF, size });
  await new BufferFetcher(blob, CONTENT).want(0, 0, 0);
  blob.release();
  // Its files are closed a moment later.
  // oxlint-disable-next-line no-await-in-loop
  while ((await store.list()).some(({ isUsed }) => isUsed)) await tick(1);
}

await test('a policy that forbids the network forbids to ask for a size', async (t) => {
  const { store, asked, ask } = await setUp(t);
  await t.rejects(ask(REF, 'never'), {
    code: 'NOT_FOUND',
    message: /not in the cache, and the network is not used \(--pull never\): .*warm/,
    facts: { digest: REF.digest, host: REF.host },
  });
  t.same(asked, []);
  await ask();
  await fetchFirst(store, CONTENT.length);
  t.equal(await ask(REF, 'never'), CONTENT.length, 'what is known is used');
  t.equal(asked.length, 1);
});

await test('a part that another manifest has made says nothing', async (t) => {
  const { store, asked, ask, says } = await setUp(t);
  await fetchFirst(store, CONTENT.length + 70_000);
  t.equal(await ask(), CONTENT.length);
  t.same(asked, [REF.repository]);
  await fetchFirst(store, CONTENT.length);
  says(-1);
  t.equal(await ask(), CONTENT.length, 'what the registry said, without it');
  await t.rejects(ask({ ...REF, repository: 'other' }), { message: 'no registry' });
  await t.rejects(ask({ ...REF, host: 'o.test' }), { message: 'no registry' });
});

await test('what the registry said counts while the cache has some of the blob', async (t) => {
  const { store, asked, ask, says } = await setUp(t);
  says(CONTENT.length + 1);
  t.equal(await ask(), CONTENT.length + 1);
  await fetchFirst(store, CONTENT.length + 1);
  says(CONTENT.length);
  t.equal(await ask(), CONTENT.length + 1);
  await store.remove(REF.digest);
  t.equal(await ask(), CONTENT.length);
  t.equal(asked.length, 2);
});

await test('bytes that were compared have a size', async (t) => {
  const { store, asked, ask, says } = await setUp(t);
  const blob = await store.blob(REF);
  await readFully(new CachedSource(blob.spec, new BufferFetcher(blob, CONTENT)), 0, CONTENT.length);
  t.equal(await blob.complete(), 'complete');
  while (!blob.map.isComplete) await tick(10);
  says(-1);
  t.equal(await ask(), CONTENT.length);
  t.same(asked, []);
  says(CONTENT.length);
  await store.manifests.setSize(REF.host, REF.repository, REF.digest, CONTENT.length + 1);
  t.equal(await ask(), CONTENT.length, 'the registry decides');
  t.equal(asked.length, 1);
  blob.release();
});

await test('a damaged note of what the registry said is none', async (t) => {
  const { folder, store, asked, ask } = await setUp(t);
  await ask();
  await fetchFirst(store, CONTENT.length);
  const path = new CacheFolder(folder).ref(REF.host, REF.repository, REF.digest);
  for (const text of ['', '{}', 'null', `{"size":${CONTENT.length},"check":"sha256:0"}`]) {
    writeFileSync(path, text);
    const before = asked.length;
    t.equal(await ask(), CONTENT.length);
    t.equal(asked.length, before + 1, text);
  }
});
