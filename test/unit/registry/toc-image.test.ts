// Images that have the tables of contents of other images: their names, and what is in them.
import { test } from 'tap';
import type { ResolvedImage } from '../../../daemon/registry/manifest-source.js';
import { parseReference, type RegistryReference } from '../../../daemon/registry/reference.js';
import { resolveImage } from '../../../daemon/registry/resolve.js';
import { tocImageOf } from '../../../daemon/registry/toc-image.js';
import {
  descriptor,
  imageManifest,
  MemoryKnown,
  MemoryRegistry,
  OCI_GZIP_LAYER,
  sha256,
  type Json,
} from '../../support/memory-registry.js';

const DIGEST = `sha256:${'a'.repeat(64)}`;

await test('the name is that of the image, with a suffix after the tag', (t) => {
  const names: [image: string, name: string | null][] = [
    ['docker://reg.example:5000/team/app:1', 'docker://reg.example:5000/team/app:1-esgztoc'],
    ['docker://reg.example/app', 'docker://reg.example/app:latest-esgztoc'],
    [`docker://reg.example/app:1@${DIGEST}`, 'docker://reg.example/app:1-esgztoc'],
    [`docker://reg.example/app@${DIGEST}`, null],
    ['docker://redis:7', 'docker://registry-1.docker.io/library/redis:7-esgztoc'],
    ['oci:/images/app:1', 'oci:/images/app:1-esgztoc'],
    ['oci:/images/app', null],
    ['docker-archive:/app.tar', null],
  ];
  for (const [image, name] of names) t.equal(tocImageOf(image), name, image);
  // The name leads to the same registry.
  const { host, repository } = parseReference(
    tocImageOf('docker://redis:7') as string,
  ) as RegistryReference;
  t.same([host, repository], ['registry-1.docker.io', 'library/redis']);
  t.end();
});

function resolve(layers: Json[]): Promise<ResolvedImage> {
  const registry = new MemoryRegistry();
  registry.put(imageManifest(layers), '1-esgztoc');
  const options = { platform: 'linux/amd64', pull: 'newer', index: { kind: 'tocs' } } as const;
  const reference = parseReference('reg.example/app:1-esgztoc') as RegistryReference;
  return resolveImage(reference, options, registry, new MemoryKnown());
}

await test('its blobs by the digests of the layers that they are of', async (t) => {
  const annotations = { 'containerd.io/snapshot/stargz/layer.digest': DIGEST };
  const toc = descriptor(OCI_GZIP_LAYER, 'toc', { annotations });
  const other = descriptor(OCI_GZIP_LAYER, 'other');
  const { tocBlobs, lowers } = await resolve([other, toc]);
  const ref = { kind: 'registry', host: 'reg.example', repository: 'app', digest: sha256('toc') };
  t.match([...(tocBlobs ?? [])], [[DIGEST, ref]]);
  t.match(lowers, [ref]);
  await t.rejects(resolve([other]), {
    code: 'BAD_FORMAT',
    message: /reg\.example\/app:1-esgztoc: no layer with a table of contents: none has/,
  });
});
