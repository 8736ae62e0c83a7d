// Layers that nothing says anything about: what they are taken for.
import { test } from 'tap';
import { parseReference } from '../../../daemon/registry/reference.js';
import { resolveImage } from '../../../daemon/registry/resolve.js';
import { SilentHosts } from '../../../daemon/registry/silent-hosts.js';
import type { ResolvedImage } from '../../../daemon/registry/manifest-source.js';
import { writeArchive } from '../../support/archive-writer.js';
import { writeLsmt } from '../../support/lsmt-writer.js';
import {
  MemoryKnown,
  MemoryRegistry,
  OCI_LAYER,
  descriptor,
  imageManifest,
  sha256,
} from '../../support/memory-registry.js';

async function resolve(registry: MemoryRegistry): Promise<ResolvedImage> {
  const reference = parseReference('reg.example/team/app:1');
  if (reference.kind !== 'registry') throw new Error(reference.kind);
  const asked = {
    platform: 'linux/amd64',
    pull: 'newer',
    newerPatienceMs: 2000,
    silent: new SilentHosts(),
  } as const;
  return resolveImage(reference, asked, registry, new MemoryKnown());
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
