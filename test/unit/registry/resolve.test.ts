// From a reference to blobs: requests that are made, pull policies, referrers, and what is refused.
import { test } from 'tap';
import { keyOfRef, type RegistryRef } from '../../../daemon/blob/blob-ref.js';
import { OverlaybdError } from '../../../daemon/errors.js';
import type { PullPolicy } from '../../../daemon/config/registry-settings.js';
import { SilentHosts } from '../../../daemon/registry/silent-hosts.js';
import { parseReference } from '../../../daemon/registry/reference.js';
import { resolveImage } from '../../../daemon/registry/resolve.js';
import type { ResolvedImage } from '../../../daemon/registry/manifest-source.js';
import {
  MemoryKnown,
  MemoryRegistry,
  NATIVE,
  OCI_GZIP_LAYER,
  OCI_MANIFEST,
  descriptor,
  encode,
  imageIndex,
  imageManifest,
  overlaybdLayer,
  sha256,
  type Json,
} from '../../support/memory-registry.js';

const AMD64 = { platform: { os: 'linux', architecture: 'amd64' } };
const ARM64 = { platform: { os: 'linux', architecture: 'arm64', variant: 'v8' } };
const NAME = 'reg.example/team/app:1';

interface Asked {
  name?: string;
  pull?: PullPolicy;
  platform?: string;
  known?: MemoryKnown;
  newerPatienceMs?: number;
  silent?: SilentHosts;
}

async function resolve(registry: MemoryRegistry, asked: Asked = {}): Promise<ResolvedImage> {
  const {
    name = NAME,
    pull = 'newer',
    platform = 'linux/amd64',
    known = new MemoryKnown(),
  } = asked;
  const reference = parseReference(name);
  if (reference.kind !== 'registry') throw new Error(reference.kind);
  const { newerPatienceMs = 2000, silent = new SilentHosts() } = asked;
  registry.requests.length = 0;
  return resolveImage(reference, { platform, pull, newerPatienceMs, silent }, registry, known);
}

function native(...contents: string[]): Json {
  return imageManifest(contents.map((content) => overlaybdLayer(content)));
}

const PLAIN = imageManifest([descriptor(OCI_GZIP_LAYER, 'one'), descriptor(OCI_GZIP_LAYER, 'two')]);
const blobOf = (content: string): RegistryRef => ({
  kind: 'registry',
  host: 'reg.example',
  repository: 'team/app',
  digest: sha256(content),
  size: content.length,
});

await test('a manifest takes one request', async (t) => {
  const registry = new MemoryRegistry();
  const { digest } = registry.put(native('a', 'b'), '1');
  t.same(await resolve(registry), {
    name: NAME,
    digest,
    lowers: [blobOf('a'), blobOf('b')],
    trace: null,
    notes: [],
  });
  t.same(registry.requests, ['manifest 1']);
});

await test('an index takes two', async (t) => {
  const registry = new MemoryRegistry();
  const amd = registry.put(native('amd'), null, AMD64);
  const arm = registry.put(native('arm'), null, ARM64);
  registry.put(imageIndex([amd, arm]), '1');
  const image = await resolve(registry, { platform: 'linux/arm64' });
  t.match(image, { digest: arm['digest'], lowers: [blobOf('arm')] });
  t.same(registry.requests, ['manifest 1', `manifest ${String(arm['digest'])}`]);
  await t.rejects(resolve(registry, { platform: 'linux/s390x' }), {
    code: 'NOT_FOUND',
    message: `${NAME}: no image for linux/s390x; its platforms: linux/amd64, linux/arm64 (see --platform)`,
  });
});

await test('indexes in indexes, up to a limit', async (t) => {
  const registry = new MemoryRegistry();
  let entry = registry.put(native('a'), null, AMD64);
  for (let i = 0; i < 4; i++) entry = registry.put(imageIndex([entry]), '1', AMD64);
  t.match(await resolve(registry), { lowers: [blobOf('a')] });
  registry.put(imageIndex([entry]), '1');
  await t.rejects(resolve(registry), {
    code: 'LIMIT',
    message: /more than 4 indexes within each other/,
  });
});

await test('by digest: asked for once, and its bytes are checked', async (t) => {
  const registry = new MemoryRegistry();
  const digest = String(registry.put(native('a'))['digest']);
  const known = new MemoryKnown();
  const asked = { name: `reg.example/team/app:old@${digest}`, known };
  t.match(await resolve(registry, asked), { name: asked.name, digest, lowers: [blobOf('a')] });
  t.same(registry.requests, [`manifest ${digest}`]);
  await resolve(registry, { ...asked, pull: 'always' });
  t.same(registry.requests, []);
  registry.corrupt(digest, encode(native('b')));
  await t.rejects(resolve(registry, { ...asked, known: new MemoryKnown() }), {
    code: 'BAD_CHECKSUM',
    message: new RegExp(`^${asked.name}: expected digest sha256:\\w+, got sha256:`),
  });
});

await test('a child that is not what its descriptor says', async (t) => {
  const registry = new MemoryRegistry();
  const child = registry.put(native('a'), null, AMD64);
  registry.put(imageIndex([{ ...child, size: 7 }]), '1');
  await t.rejects(resolve(registry), {
    code: 'BAD_FORMAT',
    message: /manifest sha256:.*: \d+ bytes, but its descriptor says 7$/,
  });
  registry.put(imageIndex([{ ...child, mediaType: 'text/plain' }]), '1');
  await t.rejects(resolve(registry), { code: 'UNSUPPORTED', message: /is not a manifest/ });
});

await test('newer: asks whether the tag has moved', async (t) => {
  const registry = new MemoryRegistry();
  const known = new MemoryKnown();
  const { digest: old } = registry.put(native('old'), '1');
  await resolve(registry, { known });
  t.match(await resolve(registry, { known }), { digest: old, notes: [] });
  t.same(registry.requests, [`manifest 1 if not ${String(old)}`]);
  const { digest: moved } = registry.put(native('new'), '1');
  t.match(await resolve(registry, { known }), { digest: moved, lowers: [blobOf('new')] });
  t.match(await resolve(registry, { known, pull: 'never' }), { digest: moved });
});

await test('newer: openings do not wait for a silent registry one after the other', async (t) => {
  const registry = new MemoryRegistry();
  const known = new MemoryKnown();
  let now = 0;
  const silent = new SilentHosts(() => now);
  const { digest } = registry.put(native('a'), '1');
  await resolve(registry, { known, silent });
  registry.failure = () => new Promise(() => {});
  const first = await resolve(registry, { known, silent, newerPatienceMs: 20 });
  t.match(first, { digest, notes: [/no answer from reg\.example within 0\.02 s$/] });
  const second = await resolve(registry, { known, silent, newerPatienceMs: 1e9 });
  t.match(second, { digest, notes: [/reg\.example gave no answer a moment ago$/] });
  t.same(registry.requests, [], 'it is not asked');
  registry.failure = null;
  const { digest: moved } = registry.put(native('b'), '1');
  now += 5000;
  t.match(await resolve(registry, { known, silent }), { digest: moved, notes: [] });
  now -= 5000;
  t.match(await resolve(registry, { known, silent }), { digest: moved, notes: [] }, 'it answers');
});

await test('newer: what is known is used if the registry does not say', async (t) => {
  const registry = new MemoryRegistry();
  const known = new MemoryKnown();
  const { digest } = registry.put(native('a'), '1');
  await resolve(registry, { known });
  registry.failure = () =>
    Promise.reject(new OverlaybdError('REMOTE', 'reg.example: connection refused'));
  const dead = await resolve(registry, { known });
  t.match(dead, { digest, lowers: [blobOf('a')] });
  t.same(dead.notes, [
    `${NAME}: ${String(digest)} of the cache is used, which may be outdated: reg.example: connection refused`,
  ]);
  registry.failure = () => new Promise(() => {});
  const silent = await resolve(registry, { known, newerPatienceMs: 20 });
  t.match(silent, { digest, notes: [/no answer from reg\.example within 0\.02 s$/] });
  registry.failure = () => Promise.reject(new Error('a bug'));
  await t.rejects(resolve(registry, { known }), { message: 'a bug' });
});

await test('newer: a registry that fails after the tag and before the rest', async (t) => {
  const registry = new MemoryRegistry();
  const known = new MemoryKnown();
  const old = registry.put(imageIndex([registry.put(native('old'), null, AMD64)]), '1');
  await resolve(registry, { known });
  const child = registry.put(native('new'), null, AMD64);
  registry.put(imageIndex([child]), '1');
  registry.failing = new Set([String(child['digest'])]);
  const image = await resolve(registry, { known });
  t.match(image, {
    lowers: [blobOf('old')],
    notes: [/of the cache is used, .*: reg\.example: reset$/],
  });
  t.match(await resolve(registry, { known, pull: 'never' }), { lowers: [blobOf('old')] });
  t.equal((await known.tag('reg.example', 'team/app', '1'))?.digest, old['digest']);
  registry.failing.clear();
  t.match(await resolve(registry, { known }), { lowers: [blobOf('new')], notes: [] });
  t.match(await resolve(registry, { known, pull: 'never' }), { lowers: [blobOf('new')] });
});

await test('missing and never', async (t) => {
  const registry = new MemoryRegistry();
  const known = new MemoryKnown();
  const amd = registry.put(native('a'), null, AMD64);
  registry.put(imageIndex([amd]), '1');
  const absent = {
    code: 'NOT_FOUND',
    message: `${NAME}: not in the cache, and the network is not used (--offline, --pull never)`,
    facts: { host: 'reg.example' },
  };
  await t.rejects(resolve(registry, { known, pull: 'never' }), absent);
  t.same(registry.requests, []);
  await resolve(registry, { known, pull: 'missing' });
  t.equal(registry.requests.length, 2);
  for (const pull of ['missing', 'never'] as const) {
    t.match(await resolve(registry, { known, pull }), { lowers: [blobOf('a')] });
    t.same(registry.requests, []);
  }
  known.manifests.set(String(amd['digest']), Buffer.from('torn'));
  await t.rejects(resolve(registry, { known, pull: 'never' }), { code: 'NOT_FOUND' });
  t.match(await resolve(registry, { known, pull: 'missing' }), { lowers: [blobOf('a')] });
});

await test('always: the registry must answer', async (t) => {
  const registry = new MemoryRegistry();
  const known = new MemoryKnown();
  registry.put(native('a'), '1');
  await resolve(registry, { known });
  await resolve(registry, { known, pull: 'always' });
  t.same(registry.requests, ['manifest 1']);
  registry.failure = () => Promise.reject(new OverlaybdError('REMOTE', 'dead'));
  await t.rejects(resolve(registry, { known, pull: 'always' }), { code: 'REMOTE' });
});

await test('an ordinary image: the referrers of the index, then of the manifest, by the API', async (t) => {
  const registry = new MemoryRegistry();
  const manifest = registry.put(PLAIN, null, AMD64);
  const index = registry.put(imageIndex([manifest]), '1');
  const ofIndex = registry.put(
    imageIndex([registry.put(native('of index'), null, AMD64)], { subject: index }),
    null,
    { artifactType: NATIVE },
  );
  const ofManifest = registry.put({ ...native('of manifest'), subject: manifest }, null, {
    artifactType: NATIVE,
  });
  registry.referrersApi = new Map([
    [String(index['digest']), encode(imageIndex([ofIndex]))],
    [String(manifest['digest']), encode(imageIndex([ofManifest]))],
  ]);
  const known = new MemoryKnown();
  const first = await resolve(registry, { known });
  t.match(first, {
    lowers: [blobOf('of index')],
    notes: [/an ordinary image; the overlaybd image sha256:.* refers to it/],
  });
  t.match(await resolve(registry, { known, pull: 'never' }), { lowers: [blobOf('of index')] });
  registry.failure = () => Promise.reject(new OverlaybdError('REMOTE', 'dead'));
  const dead = await resolve(registry, { known });
  t.match(dead, { lowers: [blobOf('of index')] });
  t.equal(registry.requests.length, 1, 'a dead registry is asked once');
  registry.failure = null;
  registry.referrersApi.delete(String(index['digest']));
  t.match(await resolve(registry), {
    lowers: [blobOf('of manifest')],
    digest: ofManifest['digest'],
  });
});

await test('an ordinary image: referrers by the fallback tag', async (t) => {
  const registry = new MemoryRegistry();
  const manifest = registry.put(PLAIN, '1');
  const digest = String(manifest['digest']);
  const tag = digest.replace(':', '-');
  const azure = { artifactType: 'application/vnd.azure.artifact.streaming.v1' };
  const converted = registry.put({ ...native('a'), subject: manifest }, null, azure);
  registry.put(imageIndex([converted]), tag);
  const known = new MemoryKnown();
  t.match(await resolve(registry, { known }), {
    digest: converted['digest'],
    lowers: [blobOf('a')],
  });
  t.same(registry.requests, [
    'manifest 1',
    `referrers ${digest}`,
    `manifest ${tag}`,
    `manifest ${String(converted['digest'])}`,
  ]);
  // An API that is not there may answer anything.
  registry.referrersApi = new Map([[digest, Buffer.from('<html>')]]);
  t.match(await resolve(registry), { lowers: [blobOf('a')] });
  t.match(await resolve(registry, { known, pull: 'never' }), { lowers: [blobOf('a')] });
});

await test('an ordinary image to which none refers is served as it is', async (t) => {
  const registry = new MemoryRegistry();
  const diffIds = [sha256('plain one'), sha256('plain two')];
  const config = encode({ rootfs: { type: 'layers', diff_ids: diffIds } });
  const type = 'application/vnd.oci.image.config.v1+json';
  const image = { ...PLAIN, config: descriptor(type, config) };
  const { digest } = registry.put(image, '1');
  registry.blobs = new Map([[sha256(config), config]]);
  const known = new MemoryKnown();
  const found = await resolve(registry, { known });
  const keys = ['one', 'two'].map((each) => keyOfRef(blobOf(each)));
  t.same(
    [...(found.digests ?? [])],
    [
      [keys[0], { blob: sha256('one'), plain: diffIds[0] }],
      [keys[1], { blob: sha256('two'), plain: diffIds[1] }],
    ],
  );
  t.match(found, {
    digest,
    lowers: [blobOf('one'), blobOf('two')],
    notes: [],
  });
  t.same((await resolve(registry, { known })).notes, found.notes, 'that is still so');
  // Everything is known then, also that nothing refers to the image.
  registry.failure = () => Promise.reject(new OverlaybdError('REMOTE', 'down'));
  const again = await resolve(registry, { known });
  t.match(again, { digest, lowers: { length: 2 }, notes: { length: 1 } });
  t.same(again.digests, found.digests);
  t.same(registry.requests, [`manifest 1 if not ${String(digest)}`], 'no further question');
});

await test('what the configuration of an ordinary image says about its layers', async (t) => {
  const registry = new MemoryRegistry();
  const type = 'application/vnd.oci.image.config.v1+json';
  const put = (config: Json, mediaType = type): void => {
    const bytes = encode(config);
    registry.blobs = new Map([[sha256(bytes), bytes]]);
    registry.put({ ...PLAIN, config: descriptor(mediaType, bytes) }, '1');
  };
  const unknown = { notes: [/has no digests of its unpacked layers/] };
  put({ architecture: 'amd64' });
  t.match(await resolve(registry), unknown, 'nothing');
  put({ rootfs: { diff_ids: [1] } }, 'application/vnd.oci.empty.v1+json');
  t.match(await resolve(registry), unknown, 'it is something else');
  put({ rootfs: { diff_ids: [sha256('a')] } });
  await t.rejects(resolve(registry), {
    code: 'BAD_FORMAT',
    message: /rootfs\.diff_ids: 1 digest for 2 layers/,
  });
  put({ rootfs: { diff_ids: ['md5:00', sha256('a')] } });
  await t.rejects(resolve(registry), { code: 'UNSUPPORTED', message: /layer 0: digest "md5:00"/ });
  registry.blobs = new Map();
  await t.rejects(resolve(registry), { code: 'BAD_CHECKSUM', message: /configuration sha256:/ });
  registry.put(imageManifest([]), '1');
  await t.rejects(resolve(registry), { code: 'UNSUPPORTED', message: /an image without layers/ });
});

await test('referrers that cannot be used', async (t) => {
  const registry = new MemoryRegistry();
  const manifest = registry.put(PLAIN, '1');
  const turbo = { artifactType: 'application/vnd.containerd.overlaybd.turbo.v1+json' };
  const native1 = { artifactType: NATIVE };
  const stranger = registry.put(native('stranger'), null, native1);
  const missing = descriptor(OCI_MANIFEST, 'missing', native1);
  const ordinary = registry.put({ ...PLAIN, subject: manifest }, null, native1);
  const list = (...entries: Json[]) => {
    registry.referrersApi = new Map([[String(manifest['digest']), encode(imageIndex(entries))]]);
  };
  list(registry.put({ ...native('t'), subject: manifest }, null, turbo));
  t.match(await resolve(registry), { lowers: [blobOf('t')] }, 'turboOCI, if it is the only one');
  list(stranger, missing, ordinary);
  t.match(await resolve(registry), {
    lowers: [blobOf('one'), blobOf('two')],
    notes: [
      /its referrer .*does not refer to sha256:/,
      /its referrer .*no manifest/,
      /its referrer .*ordinary layers/,
    ],
  });
  list(missing, registry.put({ ...native('good'), subject: manifest }, null, native1));
  t.match(await resolve(registry), { lowers: [blobOf('good')] });
});
