// Images as each tool writes them, in a layout: what is in their manifests.
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tap, { test, type Test } from 'tap';
import { shortFolder } from '../../../support/daemon-process.js';
import { withDevice, sha256Of } from '../../../support/in-process.js';
import { ImageLayout } from '../../../support/registry/image-layout.js';
import { fileDigest, sha256 } from '../../../support/registry/image-place.js';
import { writeLayerFiles } from '../../../support/registry/layer-files.js';
import { DOCKER, NATIVE_ARTIFACT, OCI, OVERLAYBD } from '../../../support/registry/media-types.js';
import { pushImage, type ImageOptions, type Writer } from '../../../support/registry/push-image.js';

const folder = mkdtempSync(join(tmpdir(), 'obd-'));
tap.teardown(() => {
  rmSync(folder, { recursive: true });
});
const files = writeLayerFiles(folder);

async function pushed(t: Test, options: Partial<ImageOptions>) {
  const layout = new ImageLayout(shortFolder(t));
  const image = await pushImage(layout, { blobs: files.blobs, tag: 'app', ...options });
  const manifest = JSON.parse(
    layout.manifest(image.manifest.digest)?.bytes.toString() ?? '',
  ) as Manifest;
  return { layout, image, manifest };
}

interface Manifest {
  mediaType: string;
  config: { mediaType: string; digest: string };
  layers: { mediaType: string; digest: string; size: number; annotations?: object }[];
  subject?: { digest: string };
  artifactType?: string;
}

await test('the layers are an image that the daemon opens', async (t) => {
  await withDevice([files.config], async ({ device }) => {
    const expected = sha256(files.device).replace('sha256:', '');
    t.equal(await sha256Of(device, 1 << 20), expected);
  });
});

const WRITERS: readonly {
  writer: Writer;
  manifest: string;
  config: string;
  layer: string;
  keys: readonly string[];
}[] = [
  {
    writer: 'convertor',
    manifest: DOCKER.manifest,
    config: DOCKER.config,
    layer: DOCKER.layer,
    keys: ['blob-digest', 'blob-size', 'version'],
  },
  {
    writer: 'convertor-oci',
    manifest: OCI.manifest,
    config: OCI.config,
    layer: OCI.layer,
    keys: ['blob-digest', 'blob-size', 'version'],
  },
  {
    writer: 'ctr',
    manifest: DOCKER.manifest,
    config: DOCKER.config,
    layer: OCI.layer,
    keys: ['blob-digest', 'blob-fs-type', 'blob-size', 'version'],
  },
  {
    writer: 'buildkit',
    manifest: OCI.manifest,
    config: OCI.config,
    layer: OCI.layer,
    keys: ['blob-digest', 'blob-size'],
  },
];

for (const { writer, ...types } of WRITERS) {
  await test(writer, async (t) => {
    const { layout, image, manifest } = await pushed(t, { writer });
    t.equal(manifest.mediaType, types.manifest);
    t.equal(manifest.config.mediaType, types.config);
    t.same(image.top, image.manifest, 'there is no index');
    t.equal(layout.manifest('app')?.digest, image.manifest.digest, 'the tag names it');
    for (const [position, path] of files.blobs.entries()) {
      const { digest, size } = await fileDigest(path);
      const layer = manifest.layers[position];
      t.match(layer, { mediaType: types.layer, digest, size });
      const keys = types.keys.map((key) => `${OVERLAYBD}${key}`);
      t.same(Object.keys(layer?.annotations ?? {}).toSorted(), keys, 'its annotations');
      t.same(readFileSync(layout.blob(digest)?.path ?? ''), readFileSync(path), 'its bytes');
    }
  });
}

await test('an index has the image for each platform, and an entry that is none', async (t) => {
  const arm = { os: 'linux', architecture: 'arm64', variant: 'v8' };
  const platforms = [{ os: 'linux', architecture: 'amd64' }, arm];
  const { layout, image } = await pushed(t, { writer: 'buildkit', platforms });
  const index = JSON.parse(layout.manifest('app')?.bytes.toString() ?? '') as {
    manifests: { digest: string; platform: object; annotations?: object }[];
  };
  t.equal(image.top.mediaType, OCI.index);
  t.same(
    index.manifests.filter(({ digest }) => digest === image.manifest.digest).map((e) => e.platform),
    platforms,
  );
  t.match(index.manifests[1], {
    platform: { os: 'unknown' },
    annotations: { 'vnd.docker.reference.type': 'attestation-manifest' },
  });
});

await test('an acceleration layer is on top', async (t) => {
  const { manifest } = await pushed(t, { trace: Buffer.from('/bin/sh\n') });
  t.equal(manifest.layers.length, files.blobs.length + 1);
  t.match(manifest.layers.at(-1)?.annotations, { [`${OVERLAYBD}acceleration-layer`]: 'yes' });
});

await test('an image refers to an ordinary one, by its subject and by the fallback tag', async (t) => {
  const { layout, image, manifest } = await pushed(t, { plainTag: 'plain' });
  const plain = image.plain?.digest ?? '';
  t.equal(layout.manifest('plain')?.digest, plain);
  t.match(manifest, { artifactType: NATIVE_ARTIFACT, subject: { digest: plain } });
  const { digest } = image.manifest;
  t.match(layout.referrers(plain), [{ digest, artifactType: NATIVE_ARTIFACT }]);
  const fallback = layout.manifest(plain.replace(':', '-'))?.bytes.toString() ?? '';
  t.match(JSON.parse(fallback), { manifests: [{ digest, artifactType: NATIVE_ARTIFACT }] });
});

await test('with an index, the index refers to the ordinary index', async (t) => {
  const platforms = [{ os: 'linux', architecture: 'amd64' }];
  const { layout, image } = await pushed(t, { plainTag: 'plain', platforms });
  const plain = layout.manifest('plain');
  t.equal(plain?.mediaType, OCI.index);
  t.match(layout.referrers(plain?.digest ?? ''), [
    { digest: image.top.digest, mediaType: OCI.index },
  ]);
});

await test('a blob may be missing, and annotations left out', async (t) => {
  const { layout, manifest } = await pushed(t, { missing: [1], annotated: false });
  t.equal(layout.blob(manifest.layers[1]?.digest ?? ''), null);
  t.equal(layout.blob(manifest.layers[0]?.digest ?? '')?.size, statSync(files.blobs[0] ?? '').size);
  t.equal(manifest.layers[0]?.annotations, undefined);
});

await test('a tag that is written again names the new manifest', async (t) => {
  const layout = new ImageLayout(shortFolder(t));
  await pushImage(layout, { blobs: files.blobs, tag: 'app' });
  const second = await pushImage(layout, { blobs: files.blobs.slice(1), tag: 'app' });
  t.equal(layout.manifest('app')?.digest, second.top.digest);
  t.same(layout.tags(), ['app']);
});
