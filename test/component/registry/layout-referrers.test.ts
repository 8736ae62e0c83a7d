// Layouts whose index.json lists what refers to images, of several images.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { fileRef, keyOfRef } from '../../../daemon/blob/blob-ref.js';
import { MAX_READ_SIZE } from '../../../daemon/registry/layout-referrers.js';
import { OCI_MANIFEST } from '../../../daemon/registry/media-types.js';
import { resolveLayout } from '../../../daemon/registry/oci-layout.js';
import { parseReference } from '../../../daemon/registry/reference.js';
import { LayoutWriter } from '../../support/layout-writer.js';
import {
  NATIVE,
  OCI_GZIP_LAYER,
  descriptor,
  imageManifest,
} from '../../support/memory-registry.js';

const SOCI_INDEX = 'application/vnd.amazon.soci.index.v1+json';

function resolve(name: string) {
  const reference = parseReference(name);
  if (reference.kind !== 'oci') throw new Error(reference.kind);
  return resolveLayout(reference, 'linux/amd64');
}

await test('each of several images finds its own SOCI index', async (t) => {
  const layout = new LayoutWriter(join(t.testdir(), 'layout'));
  const images = Array.from({ length: 6 }, (_, i) => {
    const layer = layout.blob(Buffer.from(`layer ${i}`), null, OCI_GZIP_LAYER);
    return { layer, plain: layout.manifest(imageManifest([layer]), `v${i}`) };
  });
  const indexes = images.map(({ layer, plain }, i) => {
    const annotations = { 'com.amazon.soci.image-layer-digest': layer['digest'] };
    const ztoc = layout.blob(Buffer.from(`ztoc ${i}`), null, 'application/octet-stream');
    const config = descriptor(SOCI_INDEX, '{}');
    const parts = imageManifest([{ ...ztoc, annotations }], { config, subject: plain });
    return layout.manifest(parts, '', { artifactType: SOCI_INDEX });
  });
  for (const [i, { layer }] of images.entries()) {
    const found = await resolve(`oci:${layout.folder}:v${i}`);
    t.equal(found.sociIndex, indexes[i]?.['digest']);
    t.same(
      [...(found.ztocs?.keys() ?? [])],
      [keyOfRef(fileRef(layout.pathOf(String(layer['digest']))))],
    );
    t.match(found.details, [/is used: 1 of 1 layer with a ztoc/]);
    t.same(found.notes, [], 'no word of the others');
  }
  // One that cannot be read may be that of any image, and is tried last.
  for (const digest of [0, 1, 2, 3, 4].map((i) => String(indexes[i]?.['digest']))) {
    writeFileSync(layout.pathOf(digest), '{}');
  }
  t.equal((await resolve(`oci:${layout.folder}:v5`)).sociIndex, indexes[5]?.['digest']);
  t.match((await resolve(`oci:${layout.folder}:v0`)).notes[0], /its SOCI index .* cannot be used/);
});

await test('a layout whose index.json lists more referrers than are read', async (t) => {
  const layout = new LayoutWriter(join(t.testdir(), 'layout'));
  const layer = layout.blob(Buffer.from('layer'), null, OCI_GZIP_LAYER);
  layout.manifest(imageManifest([layer]), 'app');
  const entry = {
    ...descriptor(OCI_MANIFEST, 'none'),
    artifactType: NATIVE,
    size: MAX_READ_SIZE / 2,
  };
  layout.entries.push(entry, entry, entry);
  layout.writeIndex();
  const text = (await resolve(`oci:${layout.folder}:app`)).notes.join('\n');
  t.equal(text.split('in the first 2 of 3 that index.json lists').length, 2, 'said once');
});

await test('a SOCI index that only its manifest tells from an image is no image', async (t) => {
  const layout = new LayoutWriter(join(t.testdir(), 'layout'));
  const layer = layout.blob(Buffer.from('layer'), null, OCI_GZIP_LAYER);
  const { digest } = layout.manifest(imageManifest([layer]), 'app');
  const config = descriptor(SOCI_INDEX, '{}');
  const index = layout.manifest(imageManifest([], { config }), 'app-soci');
  t.equal((await resolve(`oci:${layout.folder}`)).digest, digest);
  // What cannot be read may be an image.
  writeFileSync(layout.pathOf(String(index['digest'])), '{}');
  await t.rejects(resolve(`oci:${layout.folder}`), { message: /index.json has 2 images/ });
});
