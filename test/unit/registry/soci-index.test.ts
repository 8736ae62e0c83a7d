// SOCI indexes: which layers have a ztoc, and what is refused.
import { test } from 'tap';
import { fileRef, keyOfRef, type BlobRef } from '../../../daemon/blob/blob-ref.js';
import { parseManifest, type ImageManifest } from '../../../daemon/registry/manifest.js';
import { namedSociIndex, sociImage } from '../../../daemon/registry/soci-index.js';
import {
  descriptor,
  encode,
  imageIndex,
  imageManifest,
  OCI_GZIP_LAYER,
  OCI_MANIFEST,
  sha256,
  type Json,
} from '../../support/memory-registry.js';

const TYPE = 'application/vnd.amazon.soci.index.v1+json';
const PREFETCH = 'application/vnd.amazon.soci.prefetch.v1+json';
const NAMED = 'com.amazon.soci.index-digest';
const DIGEST = sha256('the image');
const layers = ['one', 'two'].map((content) => descriptor(OCI_GZIP_LAYER, content));

function parsed(json: Json): ImageManifest {
  const manifest = parseManifest(encode(json), OCI_MANIFEST, 'app');
  if (manifest.kind !== 'manifest') throw new Error(manifest.kind);
  return manifest;
}

const image = {
  name: 'app',
  manifest: parsed(imageManifest(layers)),
  digest: DIGEST,
  blob: ({ digest }: { digest: string }) => fileRef(`/${digest}`),
};

function ztoc(content: string, layer: string, mediaType = 'application/octet-stream'): Json {
  const annotations = { 'com.amazon.soci.image-layer-digest': sha256(layer) };
  return descriptor(mediaType, content, { annotations });
}

function indexOf(ztocs: Json[], more: Json = {}): Json {
  return imageManifest(ztocs, {
    config: descriptor(TYPE, '{}'),
    subject: { mediaType: OCI_MANIFEST, digest: DIGEST, size: 5 },
    ...more,
  });
}

function elsewhere({ digest }: { digest: string }): BlobRef {
  return fileRef(`/elsewhere/${digest}`);
}

await test('ztocs that are elsewhere, and an index that is found again', (t) => {
  const bytes = encode(indexOf([ztoc('of one', 'one')]));
  const fetched = { bytes, mediaType: OCI_MANIFEST, digest: sha256(bytes) };
  const opened = sociImage(image, { fetched, blob: elsewhere, again: 'its name' }, false);
  t.same(
    [...(opened.ztocs?.values() ?? [])].map(({ ref }) => ref),
    [fileRef(`/elsewhere/${sha256('of one')}`)],
  );
  t.equal(opened.lowers.length, 2);
  t.equal(opened.sociIndex, 'its name');
  t.end();
});

function open(json: Json, needsSubject = true) {
  const bytes = encode(json);
  const mediaType = String(json['mediaType']);
  const fetched = { bytes, mediaType, digest: sha256(bytes) };
  return sociImage(image, { fetched, blob: image.blob, again: null }, needsSubject);
}

await test('layers with ztocs, and others', (t) => {
  const opened = open(
    indexOf([
      ztoc('of nothing', 'one', PREFETCH),
      ztoc('what two wants', 'two', PREFETCH),
      ztoc('of two', 'two'),
      ztoc('again', 'two'),
      ztoc('of another image', 'three'),
    ]),
  );
  t.match(opened, { name: 'app', digest: DIGEST, trace: null });
  t.equal(opened.lowers.length, 2);
  const digest = sha256('of two');
  const hint = sha256('what two wants');
  const prefetch = { ref: fileRef(`/${hint}`), digest: hint };
  t.same(
    [...(opened.ztocs ?? [])],
    [[keyOfRef(fileRef(`/${sha256('two')}`)), { ref: fileRef(`/${digest}`), digest, prefetch }]],
  );
  t.match(opened.details, [/is used: 1 of 2 layers with a ztoc$/]);
  t.same(opened.notes, []);
  t.end();
});

await test('an index that the image names needs no subject', (t) => {
  const plain = indexOf([ztoc('a', 'one')], { subject: null });
  t.equal(open(plain, false).ztocs?.size, 1);
  t.throws(() => open(plain), { code: 'BAD_FORMAT', message: /does not refer to sha256:/ });
  t.end();
});

await test('what is refused', (t) => {
  const good = [ztoc('a', 'one')];
  const sha512 = `sha512:${'0'.repeat(128)}`;
  const cases: [json: Json, code: string, message: RegExp][] = [
    [imageIndex([]), 'UNSUPPORTED', /not a SOCI index: "an index"/],
    [imageManifest(good), 'UNSUPPORTED', /not a SOCI index: "application\/vnd\.oci\.image\.config/],
    [indexOf(good, { subject: layers[0] as Json }), 'BAD_FORMAT', /does not refer to sha256:/],
    [indexOf([]), 'BAD_FORMAT', /no ztoc of a layer of the image/],
    [indexOf([{ ...good[0], digest: sha512 }]), 'UNSUPPORTED', /part 0/],
  ];
  for (const [json, code, message] of cases) t.throws(() => open(json), { code, message });
  t.end();
});

function named(digest: string): Json {
  return imageManifest(layers, { annotations: { [NAMED]: digest } });
}

await test('what a manifest names', (t) => {
  t.equal(namedSociIndex(image.manifest, 'app'), null);
  t.equal(namedSociIndex(parsed(named(DIGEST)), 'app'), DIGEST);
  t.throws(() => namedSociIndex(parsed(named('sha256:0')), 'app'), {
    code: 'BAD_FORMAT',
    message: /^app: its annotation com\.amazon\.soci\.index-digest: expected .*, got "sha256:0"$/,
  });
  t.end();
});
