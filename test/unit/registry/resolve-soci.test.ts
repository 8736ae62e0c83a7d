// From a reference to an image with a SOCI index, and to the same index later.
import { join } from 'node:path';
import { test } from 'tap';
import type { GivenIndex, ResolvedImage } from '../../../daemon/registry/manifest-source.js';
import { parseReference, type RegistryReference } from '../../../daemon/registry/reference.js';
import { resolveImage } from '../../../daemon/registry/resolve.js';
import {
  descriptor,
  encode,
  imageIndex,
  imageManifest,
  MemoryKnown,
  MemoryRegistry,
  OCI_GZIP_LAYER,
  sha256,
  type Json,
} from '../../support/memory-registry.js';
import { ImageLayout } from '../../support/registry/image-layout.js';
import { OCI } from '../../support/registry/media-types.js';

const AMD64 = { platform: { os: 'linux', architecture: 'amd64' } };
const PLAIN = imageManifest([descriptor(OCI_GZIP_LAYER, 'one'), descriptor(OCI_GZIP_LAYER, 'two')]);
const REFERENCE = parseReference('reg.example/team/app:1') as RegistryReference;

function resolve(
  registry: MemoryRegistry,
  index: GivenIndex | null = null,
): Promise<ResolvedImage> {
  const options = { platform: 'linux/amd64', pull: 'newer', index } as const;
  return resolveImage(REFERENCE, options, registry, new MemoryKnown());
}

function ztocOf({ ztocs }: ResolvedImage): unknown {
  return [...(ztocs?.values() ?? [])][0]?.ref;
}

const blobOf = (content: string) => ({
  kind: 'registry',
  host: 'reg.example',
  repository: 'team/app',
  digest: sha256(content),
});

const SOCI_INDEX = 'application/vnd.amazon.soci.index.v1+json';

/** An index with one ztoc; `subject` is the image. */
function sociIndex(ztoc: string, subject: Json): Json {
  const annotations = { 'com.amazon.soci.image-layer-digest': sha256('one') };
  return imageManifest([descriptor('application/octet-stream', ztoc, { annotations })], {
    config: descriptor(SOCI_INDEX, '{}'),
    subject,
  });
}

await test('the SOCI index of an image: the newest, one that is named, none, or one that is elsewhere', async (t) => {
  const registry = new MemoryRegistry();
  const manifest = registry.put(PLAIN, '1', AMD64);
  const entryOf = (ztoc: string, hour: number): Json => {
    const annotations = { 'org.opencontainers.image.created': `2026-01-01T0${hour}:00:00Z` };
    const more = { artifactType: SOCI_INDEX, annotations };
    return registry.put(sociIndex(ztoc, manifest), null, more);
  };
  const [older, newer] = [entryOf('older', 1), entryOf('newer', 2)];
  const subject = String(manifest['digest']);
  registry.referrersApi = new Map([[subject, encode(imageIndex([older, newer]))]]);
  const found = await resolve(registry);
  t.match(ztocOf(found), blobOf('newer'));
  t.equal(found.sociIndex, newer['digest']);
  const named = await resolve(registry, {
    kind: 'digest',
    digest: String(older['digest']),
  });
  t.match(ztocOf(named), blobOf('older'));
  t.equal(named.sociIndex, undefined);
  const without = await resolve(registry, { kind: 'none' });
  t.equal(without.ztocs, undefined);
  t.equal(without.lowers.length, 2);
  registry.places.clear();
  registry.put(sociIndex('elsewhere', manifest), 'index');
  const reference = 'docker://other.example/soci/indexes:index';
  const elsewhere = await resolve(registry, { kind: 'reference', reference });
  t.same([...registry.places], ['reg.example/team/app', 'other.example/soci/indexes']);
  t.match(ztocOf(elsewhere), { host: 'other.example', repository: 'soci/indexes' });
  t.match(elsewhere.lowers, [blobOf('one'), blobOf('two')]);
  // By its digest it is found again after the tag has moved.
  const again = String(elsewhere.sociIndex);
  t.match(again, /^docker:\/\/other\.example\/soci\/indexes@sha256:/);
  registry.put(sociIndex('moved', manifest), 'index');
  const later = await resolve(registry, { kind: 'reference', reference: again });
  t.same(ztocOf(later), ztocOf(elsewhere));
  const layout = new ImageLayout(t.testdir());
  const bytes = encode(sociIndex('local', manifest));
  await layout.putManifest(bytes, OCI.manifest, 'index');
  const tag = `oci:${layout.folder}:index`;
  const local = await resolve(registry, { kind: 'reference', reference: tag });
  const { digest } = blobOf('local');
  t.match(ztocOf(local), {
    kind: 'file',
    path: join(layout.folder, 'blobs', digest.replace(':', '/')),
  });
  t.equal(local.sociIndex, `oci:${layout.folder}@${sha256(bytes)}`);
  // Its digest is enough.
  await layout.putManifest(encode(sociIndex('other', manifest)), OCI.manifest, 'index');
  const same = await resolve(registry, { kind: 'reference', reference: String(local.sociIndex) });
  t.same(ztocOf(same), ztocOf(local));
  await t.rejects(resolve(registry, { kind: 'reference', reference: 'oci:/a:b' }), {
    code: 'NOT_FOUND',
  });
  await t.rejects(resolve(registry, { kind: 'reference', reference: 'docker-archive:/a' }), {
    code: 'BAD_ARGUMENT',
  });
});
