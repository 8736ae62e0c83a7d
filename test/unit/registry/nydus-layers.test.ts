import { test } from 'tap';
import type { Descriptor } from '../../../daemon/registry/manifest.js';
import { nydusLayers } from '../../../daemon/registry/nydus-layers.js';

function layer(annotations: Record<string, string>): Descriptor {
  const keys = Object.entries(annotations).map(
    ([key, value]) => [`containerd.io/snapshot/${key}`, value] as const,
  );
  return {
    mediaType: 'application/vnd.oci.image.layer.nydus.blob.v1',
    digest: `sha256:${'a'.repeat(64)}`,
    size: 1,
    annotations: new Map(keys),
    platform: null,
    artifactType: null,
  };
}

await test('what annotations say', (t) => {
  const blob = layer({ 'nydus-blob': 'true' });
  const bootstrap = layer({ 'nydus-bootstrap': 'true', 'nydus-fs-version': '6' });
  t.equal(nydusLayers([blob, layer({})], 'image'), null);
  t.same(nydusLayers([blob, bootstrap], 'image'), { bootstrap, others: [blob] });
  t.throws(() => nydusLayers([bootstrap, layer({ 'nydus-bootstrap': 'true' })], 'image'), {
    code: 'BAD_FORMAT',
    message: /^image: a Nydus image with two bootstraps, /,
  });
  const old = layer({ 'nydus-bootstrap': 'true', 'nydus-fs-version': '5' });
  t.throws(() => nydusLayers([old], 'image'), {
    code: 'UNSUPPORTED',
    message: /a Nydus image of RAFS version "5": only version 6 is supported: convert/,
  });
  t.end();
});
