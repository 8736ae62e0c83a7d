// What is kept, and in which order: a tag that is known has a manifest.
import { SilentHosts } from '../../../daemon/registry/silent-hosts.js';
import { test } from 'tap';
import { RepositoryManifests } from '../../../daemon/registry/known-manifests.js';
import {
  MemoryKnown,
  MemoryRegistry,
  encode,
  imageManifest,
  overlaybdLayer,
} from '../../support/memory-registry.js';

const WHERE = { host: 'reg.example', repository: 'app' };
const IMAGE = imageManifest([overlaybdLayer('a')]);

await test('a manifest is kept before its tag', async (t) => {
  const registry = new MemoryRegistry();
  registry.put(IMAGE, '1');
  const kept: string[] = [];
  const known = new (class extends MemoryKnown {
    override put(digest: string, bytes: Uint8Array): Promise<void> {
      kept.push(digest);
      return super.put(digest, bytes);
    }

    override setTag(host: string, repository: string, tag: string, digest: string): Promise<void> {
      kept.push(`${host}/${repository}:${tag}`);
      return super.setTag(host, repository, tag, digest);
    }
  })();
  const manifests = new RepositoryManifests(WHERE, 'newer', registry, known);
  const { digest, bytes } = await manifests.byTag('1', 'app:1');
  t.same(kept, [digest]);
  await manifests.keepTags();
  t.same(kept, [digest, 'reg.example/app:1']);
  t.ok(encode(IMAGE).equals(bytes));
  await manifests.byTag('1', 'app:1');
  t.same(kept.slice(2), ['reg.example/app:1'], 'checked again');
});

await test('a tag without its manifest is not known', async (t) => {
  const registry = new MemoryRegistry();
  registry.put(IMAGE, '1');
  const known = new MemoryKnown();
  const manifests = new RepositoryManifests(WHERE, 'missing', registry, known);
  t.equal(await manifests.knownTag('1'), null);
  const { digest } = await manifests.byTag('1', 'app:1');
  await manifests.keepTags();
  t.match(await manifests.knownTag('1'), { digest });
  known.manifests.delete(digest);
  t.equal(await manifests.knownTag('1'), null);
});

await test('referrers are waited for as long as none are known', async (t) => {
  const registry = new MemoryRegistry();
  const answers: ((bytes: Uint8Array) => void)[] = [];
  registry.referrers = () => new Promise((resolve) => answers.push(resolve));
  const patience = { patienceMs: 5, silent: new SilentHosts() };
  const manifests = new RepositoryManifests(WHERE, 'newer', registry, new MemoryKnown(), patience);
  t.equal(await manifests.referrersByApi('sha256:x', true), null);
  t.equal(await manifests.referrersByApi('sha256:x', true), null);
  t.equal(answers.length, 1, 'it gave no answer a moment ago: it is not asked again');
  const waiting = manifests.referrersByApi('sha256:x', false);
  answers[1]?.(Buffer.from('late'));
  t.equal(Buffer.from((await waiting) ?? []).toString(), 'late');
});
