// The start of a blob is read from the cache if it is there, and from the registry otherwise.
import { test } from 'tap';
import { CachedHeads } from '../../../daemon/fetch/cached-heads.js';
import { OverlaybdError } from '../../../daemon/errors.js';
import { BufferFetcher, openStore, refOf } from '../../support/cached-blobs.js';
import { MemoryRegistry, OCI_MANIFEST } from '../../support/memory-registry.js';
import { randomBytes } from '../../support/pattern.js';

const content = randomBytes(1, 200_000);
const ref = refOf(content);

await test('the start of a blob', async (t) => {
  const store = await openStore(t, { cacheFolder: t.testdir() });
  const registry = new MemoryRegistry();
  registry.blobs = new Map([[ref.digest, content]]);
  const blob = await store.blob(ref);
  t.teardown(() => blob.release());
  const heads = new CachedHeads(registry, (_, use) => use(blob));
  t.same(await heads.head(ref, 2048), content.subarray(0, 2048));
  t.same(registry.requests, [`head ${ref.digest}`], 'it was not in the cache');
  await new BufferFetcher(blob, content).want(1, 0, 0);
  t.same(await heads.head(ref, 2048), content.subarray(0, 2048));
  t.equal(registry.requests.length, 1, 'it was');
  t.same(await heads.blob(ref), content);
  const failing = new CachedHeads(registry, () =>
    Promise.reject(new OverlaybdError('LIMIT', 'too many blobs are open')),
  );
  t.same(await failing.head(ref, 10), content.subarray(0, 10));
});

await test('manifests and referrers are those of the registry', async (t) => {
  const registry = new MemoryRegistry();
  const { digest } = registry.put({ mediaType: OCI_MANIFEST }, 'tag');
  const heads = new CachedHeads(registry, () => Promise.reject(new Error('not used')));
  const found = await heads.manifest('host', 'app', 'tag', [OCI_MANIFEST]);
  t.equal(found.digest, digest);
  const { signal } = new AbortController();
  const again = { known: String(digest), signal };
  t.same(await heads.manifest('host', 'app', 'tag', [OCI_MANIFEST], again), { notModified: true });
  t.equal(await heads.referrers('host', 'app', String(digest)), null);
  await t.rejects(heads.blob(ref), { code: 'NOT_FOUND' });
});
