// Devices of images with SOCI indexes after the daemon died: opened with the index that they had. Against a fake kernel.
import { join } from 'node:path';
import { test } from 'tap';
import { LayoutWriter } from '../../support/layout-writer.js';
import {
  descriptor,
  imageManifest,
  OCI_MANIFEST,
  type Json,
} from '../../support/memory-registry.js';
import { textBytes } from '../../support/pattern.js';
import { writeUstar } from '../../support/ustar.js';
import { writeZtoc } from '../../support/ztoc-writer.js';
import { makeWorld, until } from './device-world.js';

const SOCI_INDEX = 'application/vnd.amazon.soci.index.v1+json';

/** Pushes an index that refers to an image, the newest of all. */
async function pushIndex(
  layout: LayoutWriter,
  archive: Buffer,
  layer: Json,
  subject: Json,
  hour: number,
): Promise<void> {
  const { ztoc } = await writeZtoc(archive, { form: 'plain', spanSize: 10_000 + hour });
  const part = layout.blob(ztoc, null, 'application/octet-stream');
  const annotations = { 'com.amazon.soci.image-layer-digest': layer['digest'] };
  const index = imageManifest([{ ...part, annotations }], {
    config: descriptor(SOCI_INDEX, '{}'),
    subject,
  });
  const entry = layout.manifest(index, null, { artifactType: SOCI_INDEX });
  const created = `2026-01-01T${String(hour).padStart(2, '0')}:00:00Z`;
  layout.entries.push({ ...entry, annotations: { 'org.opencontainers.image.created': created } });
  layout.writeIndex();
}

function subjectOf({ digest, size }: Json): Json {
  return { mediaType: OCI_MANIFEST, digest, size };
}

await test('a SOCI index that is pushed later makes no other image of a device', async (t) => {
  const { folder, kernel, records, live } = makeWorld(t);
  const layout = new LayoutWriter(join(folder, 'layout'));
  const archive = writeUstar([{ name: 'words', bytes: textBytes(1, 50_000) }]);
  const layer = layout.blob(archive, null);
  for (const tag of ['indexed', 'plain']) {
    layout.manifest(imageManifest([layer], { annotations: { tag } }), tag);
  }
  const [indexed, plain] = layout.entries as [Json, Json];
  await pushIndex(layout, archive, layer, subjectOf(indexed), 1);
  const images = ['indexed', 'plain'].map((tag) => [`oci:${layout.folder}:${tag}`]);
  const first = await live();
  for (const image of images) await first.manager.attach({ image, connections: 1 });
  const found = records().toSorted((a, b) => a.index - b.index);
  t.match(found, [{ sociIndex: /^sha256:/ }, { sociIndex: 'none' }]);
  t.not(found[0]?.fingerprint, found[1]?.fingerprint);
  const before = [await kernel.read(0, 0, 8192, 0), await kernel.read(1, 0, 8192, 0)];
  await pushIndex(layout, archive, layer, subjectOf(indexed), 2);
  await pushIndex(layout, archive, layer, subjectOf(plain), 3);
  // A caller that attaches the image again gets the device.
  for (const [index, image] of images.entries()) {
    t.match(await first.manager.attach({ image, index, connections: 1 }), { reused: true });
  }
  await first.die();
  const second = await live();
  await second.manager.recover();
  await second.manager.repairAll(8000);
  await until(() => [0, 1].every((i) => kernel.devices.get(i)?.sockets.length === 1));
  t.same([await kernel.read(0, 0, 8192, 0), await kernel.read(1, 0, 8192, 0)], before);
  // What is attached now has the newest.
  await second.manager.attach({ image: images[0] as string[], connections: 1 });
  const third = records().find(({ index }) => index === 2);
  t.match(third, { sociIndex: /^sha256:/ });
  t.not(third?.sociIndex, found[0]?.sociIndex);
});
