// Manifests and indexes: what is taken, what is refused, and hostile ones.
import * as fc from 'fast-check';
import { test } from 'tap';
import { OverlaybdError } from '../../../daemon/errors.js';
import {
  MAX_INDEX_ENTRIES,
  MAX_MANIFEST_LAYERS,
  MAX_MANIFEST_SIZE,
  parseManifest,
} from '../../../daemon/registry/manifest.js';
import { holds } from '../../support/holds.js';
import { usualOrLong } from '../../support/long-tests.js';
import { SEED } from '../../support/seed.js';
import {
  DOCKER_LAYER,
  DOCKER_MANIFEST,
  OCI_INDEX,
  OCI_MANIFEST,
  descriptor,
  encode,
  imageIndex,
  imageManifest,
  overlaybdLayer,
  type Json,
} from '../../support/memory-registry.js';

const parse = (value: Json, claimed = '') => parseManifest(encode(value), claimed, 'app:1');
const layer = overlaybdLayer('a');

await test('a manifest', (t) => {
  const mixed = imageManifest([overlaybdLayer('a', { version: '0.1.0' }, DOCKER_LAYER), layer], {
    mediaType: DOCKER_MANIFEST,
    subject: descriptor(OCI_MANIFEST, 'subject'),
    artifactType: 'x/y',
    annotations: null,
  });
  const found = parse(mixed, DOCKER_MANIFEST);
  if (found.kind !== 'manifest') throw new Error(found.kind);
  t.equal(found.layers.length, 2);
  t.equal(found.layers[0]?.mediaType, DOCKER_LAYER);
  t.equal(found.layers[0]?.annotations.get('containerd.io/snapshot/overlaybd/version'), '0.1.0');
  t.equal(found.subject, descriptor(OCI_MANIFEST, 'subject')['digest']);
  t.equal(found.artifactType, 'x/y');
  t.end();
});

await test('an index', (t) => {
  const platform = { os: 'linux', architecture: 'arm', variant: 'v7', 'os.version': '1' };
  const found = parse(
    imageIndex([descriptor(OCI_MANIFEST, 'a', { platform }), descriptor(OCI_MANIFEST, 'b')]),
  );
  if (found.kind !== 'index') throw new Error(found.kind);
  t.same(found.manifests[0]?.platform, {
    os: 'linux',
    architecture: 'arm',
    variant: 'v7',
    hasFeatures: false,
  });
  t.equal(found.manifests[1]?.platform, null);
  t.end();
});

await test('the media type: by itself, by what is claimed, or by the shape', (t) => {
  const { mediaType: _, ...untyped } = imageManifest([layer]);
  t.equal(parse(untyped).kind, 'manifest');
  t.equal(parse(untyped, OCI_MANIFEST).kind, 'manifest');
  t.equal(parse(untyped, 'application/octet-stream').kind, 'manifest');
  t.equal(parse(imageManifest([layer]), 'text/plain').kind, 'manifest');
  t.equal(parse({ manifests: [] }).kind, 'index');
  const bad = (value: Json, claimed: string, message: RegExp, code = 'BAD_FORMAT') =>
    t.throws(() => parse(value, claimed), { code, message });
  bad(
    imageManifest([layer]),
    DOCKER_MANIFEST,
    /mediaType: "application\/vnd.oci.*, but its descriptor or Content-Type is "application\/vnd.docker/,
  );
  bad({ ...imageManifest([layer]), manifests: [] }, '', /both layers and manifests/);
  bad({ ...imageManifest([layer]), mediaType: OCI_INDEX }, '', /mediaType: .*but it has layers/);
  bad({ manifests: [] }, OCI_MANIFEST, /but it has manifests/);
  bad({}, '', /neither a manifest nor an index: "no media type"/, 'UNSUPPORTED');
  bad(
    { mediaType: 'text/html' },
    '',
    /neither a manifest nor an index: "text\/html"/,
    'UNSUPPORTED',
  );
  t.end();
});

await test('Docker schema 1', (t) => {
  const refusal = { code: 'UNSUPPORTED', message: /Docker schema 1/ };
  t.throws(() => parse({ schemaVersion: 1, fsLayers: [] }), refusal);
  const type = 'application/vnd.docker.distribution.manifest.v1+prettyjws';
  t.throws(() => parse({ fsLayers: [] }, type), refusal);
  t.end();
});

await test('wrong fields are named', (t) => {
  const wrong: [unknown, RegExp][] = [
    [{ ...layer, digest: 'sha256:12' }, /^app:1: layers\.0\.digest: "sha256:12" is not a digest/],
    [{ ...layer, digest: 7 }, /layers\.0\.digest: it is not a digest/],
    [{ ...layer, size: -1 }, /layers\.0\.size: -1 is not a whole number, 0 or more/],
    [{ ...layer, size: 2 ** 53 }, /layers\.0\.size: 9007199254740992 is not/],
    [{ ...layer, size: '1' }, /layers\.0\.size: "1" is not/],
    [{ ...layer, mediaType: '' }, /layers\.0\.mediaType/],
    [{ ...layer, mediaType: 'x'.repeat(256) }, /layers\.0\.mediaType: longer than 255/],
    [{ ...layer, annotations: { a: 1 } }, /layers\.0\.annotations\.a: 1 is not a string/],
    [{ ...layer, annotations: [] }, /layers\.0\.annotations: an array is not an object/],
    [null, /layers\.0: null is not an object/],
    [[], /layers\.0: an array is not an object/],
  ];
  for (const [value, message] of wrong) {
    t.throws(() => parse(imageManifest([value as Json])), { code: 'BAD_FORMAT', message });
  }
  t.throws(() => parse({ ...imageManifest([layer]), config: undefined }), { message: /config/ });
  const twice = Buffer.from('{"layers":[],"layers":[]}');
  t.throws(() => parseManifest(twice, '', 'x'), {
    code: 'BAD_FORMAT',
    message: /layers: duplicate key/,
  });
  t.throws(() => parseManifest(Buffer.from('<html>'), OCI_MANIFEST, 'x'), {
    code: 'BAD_FORMAT',
    message: /^x: not JSON/,
  });
  t.throws(() => parseManifest(Buffer.from('null'), OCI_MANIFEST, 'x'), { code: 'BAD_FORMAT' });
  t.end();
});

await test('limits', (t) => {
  const limit = (value: Json, message: RegExp) =>
    t.throws(() => parse(value), { code: 'LIMIT', message });
  t.doesNotThrow(() =>
    parse(imageManifest(Array.from({ length: MAX_MANIFEST_LAYERS }, () => layer))),
  );
  limit(
    imageManifest(Array.from({ length: MAX_MANIFEST_LAYERS + 1 }, () => layer)),
    /257 layers, at most 256/,
  );
  const entry = descriptor(OCI_MANIFEST, 'a');
  limit(
    imageIndex(Array.from({ length: MAX_INDEX_ENTRIES + 1 }, () => entry)),
    /4097 manifests, at most 4096/,
  );
  t.throws(() => parseManifest(Buffer.alloc(MAX_MANIFEST_SIZE + 1, ' '), '', 'x'), {
    code: 'LIMIT',
  });
  const deep = `{"mediaType":"${OCI_MANIFEST}","x":${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}}`;
  t.throws(() => parseManifest(Buffer.from(deep), '', 'x'), {
    code: 'BAD_FORMAT',
    message: /more than 64 levels deep/,
  });
  t.end();
});

await test('any change of a manifest is a manifest or refused', async (t) => {
  const text = JSON.stringify(imageManifest([layer, layer]));
  const change = fc.record({
    at: fc.nat({ max: text.length - 1 }),
    cut: fc.nat({ max: 20 }),
    put: fc.oneof(
      fc.string({ maxLength: 8 }),
      fc.constantFrom('null', '[]', '{}', '1e400', '"', '\\u0000'),
    ),
  });
  await holds(
    t,
    fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
      let changed = text;
      for (const { at, cut, put } of changes)
        changed = changed.slice(0, at) + put + changed.slice(at + cut);
      try {
        parseManifest(Buffer.from(changed), OCI_MANIFEST, 'x');
      } catch (error) {
        if (!(error instanceof OverlaybdError)) throw error;
      }
    }),
    { seed: SEED, numRuns: usualOrLong(600, 3000) },
  );
});

await test('any JSON is a manifest or refused', async (t) => {
  const keys = fc.constantFrom(
    'mediaType',
    'layers',
    'manifests',
    'config',
    'digest',
    'size',
    'platform',
    'annotations',
    'subject',
    'schemaVersion',
  );
  const leaf = fc.oneof(
    fc.constantFrom(OCI_INDEX, OCI_MANIFEST, 1, 2, -1, null, true),
    fc.string(),
  );
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      leaf,
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(keys, tie('value')),
    ),
  }));
  await holds(
    t,
    fc.property(value, fc.constantFrom('', OCI_INDEX, OCI_MANIFEST), (each, claimed) => {
      try {
        parseManifest(Buffer.from(JSON.stringify(each)), claimed, 'x');
      } catch (error) {
        if (!(error instanceof OverlaybdError)) throw error;
      }
    }),
    { seed: SEED, numRuns: usualOrLong(600, 3000) },
  );
});
