// Where the referrers of an image of a layout are looked for: under the fallback tag of its manifest, then in all that index.json lists.
import { test, type Test } from 'tap';
import { fallbackTag } from '../../../daemon/registry/referrers.js';
import { parseReference } from '../../../daemon/registry/reference.js';
import { resolveLocal } from '../../../daemon/registry/resolve-local.js';
import { LayoutWriter } from '../../support/layout-writer.js';
import { imageIndex, imageManifest, OCI_GZIP_LAYER } from '../../support/memory-registry.js';

const OVERLAYBD = 'application/vnd.containerd.overlaybd.native.v1+json';
const SOCI = 'application/vnd.amazon.soci.index.v1+json';

/**
 * @param tagged the type of a useless referrer that the fallback tag lists, and of one that index.json lists and whose manifest is
 *   not there
 * @returns which of the two were tried
 */
async function tried(t: Test, tagged: string | null, listed: string): Promise<string[]> {
  const layout = new LayoutWriter(t.testdir());
  const layer = layout.blob(Buffer.from('layer'), null, OCI_GZIP_LAYER);
  const image = layout.manifest(imageManifest([layer]), 'image');
  const absent = { ...image, digest: `sha256:${'a'.repeat(64)}`, artifactType: listed };
  if (tagged !== null) {
    const manifest = { ...imageManifest([layer]), subject: image, artifactType: tagged };
    const useless = layout.manifest(manifest, null, { artifactType: tagged });
    layout.manifest(imageIndex([useless]), fallbackTag(String(image['digest'])));
  }
  layout.entries.push(absent);
  layout.writeIndex();
  const reference = parseReference(`oci:${layout.folder}:image`);
  if (reference.kind !== 'oci') throw new Error(reference.kind);
  const notes = (await resolveLocal(reference, 'linux/amd64')).notes.join('\n');
  return [
    ...(/cannot be used: .*(ordinary layers|SOCI|soci|config)/.test(notes) ? ['tagged'] : []),
    ...(notes.includes('a'.repeat(64)) ? ['listed'] : []),
  ];
}

await test('manifests of other images are read only if something better may be among them', async (t) => {
  t.same(await tried(t, null, OVERLAYBD), ['listed']);
  t.same(await tried(t, OVERLAYBD, OVERLAYBD), ['tagged']);
  t.same(await tried(t, OVERLAYBD, SOCI), ['tagged']);
  t.same(await tried(t, SOCI, SOCI), ['tagged']);
  t.same(await tried(t, SOCI, OVERLAYBD), ['tagged', 'listed'], 'overlaybd is preferred');
  t.same(await tried(t, 'application/other', SOCI), ['listed']);
});
