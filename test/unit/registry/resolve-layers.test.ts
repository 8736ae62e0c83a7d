// Layers that nothing says anything about: what they are taken for.
import { test } from 'tap';
import type { PullPolicy } from '../../../daemon/config/registry-settings.js';
import { OverlaybdError } from '../../../daemon/errors.js';
import { parseReference } from '../../../daemon/registry/reference.js';
import { resolveImage } from '../../../daemon/registry/resolve.js';
import { SilentHosts } from '../../../daemon/registry/silent-hosts.js';
import type { ResolvedImage } from '../../../daemon/registry/manifest-source.js';
import { writeArchive } from '../../support/archive-writer.js';
import { writeLsmt } from '../../support/lsmt-writer.js';
import {
  MemoryKnown,
  MemoryRegistry,
  NATIVE,
  OCI_GZIP_LAYER,
  OCI_LAYER,
  descriptor,
  encode,
  imageIndex,
  imageManifest,
  sha256,
} from '../../support/memory-registry.js';

async function resolve(
  registry: MemoryRegistry,
  pull: PullPolicy = 'newer',
  known = new MemoryKnown(),
): Promise<ResolvedImage> {
  const reference = parseReference('reg.example/team/app:1');
  if (reference.kind !== 'registry') throw new Error(reference.kind);
  const asked = {
    platform: 'linux/amd64',
    pull,
    newerPatienceMs: 2000,
    silent: new SilentHosts(),
  } as const;
  return resolveImage(reference, asked, registry, known);
}

await test('layers without annotations are looked at, if that is possible', async (t) => {
  const registry = new MemoryRegistry();
  registry.blobs = new Map(
    [['a', writeLsmt({ virtualSize: 4096, segments: [] })]].map(([name, bytes]) => [
      sha256(String(name)),
      bytes as Buffer,
    ]),
  );
  const layer = { ...descriptor(OCI_LAYER, 'a'), size: registry.blobs.get(sha256('a'))?.length };
  registry.put(imageManifest([layer]), '1');
  const image = await resolve(registry);
  t.match(image, { lowers: [{ digest: sha256('a') }], notes: [/no overlaybd annotations/] });
  t.same(registry.requests, ['manifest 1', `head ${sha256('a')}`]);
});

await test('an encrypted layer is refused by the manifest: nothing of it is fetched', async (t) => {
  const type = 'application/vnd.oci.image.layer.v1.tar+gzip+encrypted';
  const digest = sha256('secret');
  // eStargz may be encrypted, too: the annotation stays.
  const annotations = { 'containerd.io/snapshot/stargz/toc.digest': sha256('toc') };
  for (const more of [{}, { annotations }]) {
    const registry = new MemoryRegistry();
    registry.blobs = new Map([[digest, Buffer.from('no format')]]);
    registry.put(
      imageManifest([descriptor(OCI_LAYER, 'a'), descriptor(type, 'secret', more)]),
      '1',
    );
    await t.rejects(resolve(registry), {
      code: 'UNSUPPORTED',
      message: `reg.example/team/app:1: layer 1 of 2: it is encrypted: its media type is "${type}"; decrypt the image`,
      facts: { digest },
    });
    t.same(registry.requests, ['manifest 1']);
  }
});

await test('a layer is left out of the disk as a trace only by bytes that have its digest', async (t) => {
  const disk = writeLsmt({ virtualSize: 4096, segments: [] });
  const traced = writeArchive([{ name: 'trace', content: '0 1' }]);
  const real = sha256(traced);
  const layersWith = async (digest: string, size = traced.length): Promise<ResolvedImage> => {
    const registry = new MemoryRegistry();
    registry.blobs = new Map([
      [sha256('disk'), disk],
      [digest, traced],
    ]);
    const layers = [
      { ...descriptor(OCI_LAYER, 'disk'), size: disk.length },
      { ...descriptor(OCI_LAYER, 'top'), digest, size },
    ];
    registry.put(imageManifest(layers), '1');
    return resolve(registry);
  };
  t.match(await layersWith(real), { lowers: { length: 1 }, trace: { digest: real } });
  const forged = await layersWith(sha256('top'));
  t.match(forged, { lowers: { length: 2 }, trace: null });
  t.equal(forged.digests?.size, 2, 'each is compared when it is opened');
  t.match(await layersWith(real, 1 << 30), { lowers: { length: 2 } }, 'too large for a trace');
});

const TRACE = writeArchive([{ name: 'trace', content: '0 1' }]);

/** An image whose topmost layer is a trace of which nothing but its bytes says so. */
const disk = writeLsmt({ virtualSize: 4096, segments: [] });
const DISK = sha256(disk);

function tracedImage(): MemoryRegistry {
  const registry = new MemoryRegistry();
  registry.blobs = new Map([
    [sha256(disk), disk],
    [sha256(TRACE), TRACE],
  ]);
  registry.put(imageManifest([descriptor(OCI_LAYER, disk), descriptor(OCI_LAYER, TRACE)]), '1');
  return registry;
}

await test('a trace that was found by its bytes is kept: it is not fetched again', async (t) => {
  const registry = tracedImage();
  const known = new MemoryKnown();
  const isTrace = { lowers: { length: 1 }, trace: { digest: sha256(TRACE) } };
  t.match(await resolve(registry, 'newer', known), isTrace);
  const ofTrace = (): string[] => registry.requests.filter((each) => each.endsWith(sha256(TRACE)));
  t.same(ofTrace(), [`head ${sha256(TRACE)}`, `blob ${sha256(TRACE)}`]);
  t.match(await resolve(registry, 'newer', known), isTrace);
  registry.kept.add(DISK);
  t.match(await resolve(registry, 'never', known), isTrace);
  t.equal(ofTrace().length, 2);
  registry.failure = () => Promise.reject(new OverlaybdError('REMOTE', 'the network is not used'));
  t.match(await resolve(registry, 'never', known), isTrace, 'without the network');
});

await test('a pull policy that forbids the network forbids to fetch a trace', async (t) => {
  const registry = tracedImage();
  const known = new MemoryKnown();
  await resolve(registry, 'newer', known);
  known.manifests.delete(sha256(TRACE));
  registry.requests.length = 0;
  registry.kept.add(DISK).add(sha256(TRACE));
  await resolve(registry, 'never', known);
  t.same(registry.requests, []);
});

await test('a pull policy that forbids to ask for manifests allows to look at a layer', async (t) => {
  const registry = tracedImage();
  const known = new MemoryKnown();
  await resolve(registry, 'newer', known);
  registry.requests.length = 0;
  t.match(await resolve(registry, 'never', known), { lowers: [{ digest: DISK }] });
  t.same(registry.requests, [`head ${DISK}`]);
});

await test('the same image with every pull policy, also if a referrer has to be looked at', async (t) => {
  const registry = new MemoryRegistry();
  registry.blobs = new Map([[DISK, disk]]);
  const plain = registry.put(imageManifest([descriptor(OCI_GZIP_LAYER, 'plain')]), '1');
  const converted = { ...imageManifest([descriptor(OCI_LAYER, disk)]), subject: plain };
  const referrer = registry.put(converted, null, { artifactType: NATIVE });
  registry.referrersApi = new Map([[String(plain['digest']), encode(imageIndex([referrer]))]]);
  const known = new MemoryKnown();
  const expected = { digest: referrer['digest'], lowers: [{ digest: DISK }] };
  t.match(await resolve(registry, 'newer', known), expected);
  registry.requests.length = 0;
  t.match(await resolve(registry, 'never', known), expected);
  t.same(registry.requests, [`head ${DISK}`]);
  // As the registry's client does with --offline.
  registry.failure = () => Promise.reject(new OverlaybdError('REMOTE', 'the network is not used'));
  await t.rejects(resolve(registry, 'never', known), { code: 'REMOTE' }, 'not the ordinary image');
});

await test('the registry itself is asked for a trace if a mirror gives other bytes', async (t) => {
  const registry = tracedImage();
  registry.mirrored.set(sha256(TRACE), Buffer.alloc(TRACE.length));
  const known = new MemoryKnown();
  t.match(await resolve(registry, 'newer', known), { trace: { digest: sha256(TRACE) } });
  t.equal(registry.requests.at(-1), `blob of the origin ${sha256(TRACE)}`);
  t.same(known.manifests.get(sha256(TRACE)), TRACE);
});
