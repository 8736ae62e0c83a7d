// Which layers are overlaybd blobs: by annotations in the three writers' ways, and by bytes.
import { test } from 'tap';
import type { BlobKind } from '../../../daemon/registry/blob-head.js';
import { parseManifest, type Descriptor } from '../../../daemon/registry/manifest.js';
import { overlaybdLayers } from '../../../daemon/registry/overlaybd-layers.js';
import {
  DOCKER_LAYER,
  OCI_GZIP_LAYER,
  OCI_LAYER,
  descriptor,
  encode,
  imageManifest,
  overlaybdLayer,
  type Json,
} from '../../support/memory-registry.js';

const PREFIX = 'containerd.io/snapshot/overlaybd/';

function layersOf(layers: Json[]): readonly Descriptor[] {
  const found = parseManifest(encode(imageManifest(layers)), '', 'x');
  return found.kind === 'manifest' ? found.layers : [];
}

/** @param kinds what each layer's bytes are; without it they are not at hand */
async function find(layers: Json[], kinds?: BlobKind[]) {
  const all = layersOf(layers);
  const looked: number[] = [];
  const look = (layer: Descriptor): Promise<BlobKind> => {
    looked.push(all.indexOf(layer));
    return Promise.resolve(kinds?.[all.indexOf(layer)] ?? 'other');
  };
  const found = await overlaybdLayers(all, 'app:1', kinds ? look : null);
  return {
    lowers: found?.lowers.map((layer) => all.indexOf(layer)) ?? null,
    trace: found?.trace ? all.indexOf(found.trace) : null,
    notes: found?.notes ?? [],
    targets: [...(found?.targets ?? [])].map(([layer, target]) => [all.indexOf(layer), target]),
    looked,
  };
}

const native = (content: string, type = OCI_LAYER) =>
  overlaybdLayer(content, { version: '0.1.0' }, type);
const trace = (content: string) =>
  overlaybdLayer(content, { 'acceleration-layer': 'yes', version: '0.1.0' });
const plain = (content: string, type = OCI_LAYER) => descriptor(type, content);

await test("the three writers' ways, in any media type", async (t) => {
  const convertor = native('a', DOCKER_LAYER);
  const ctr = overlaybdLayer('b', { version: '0.1.0', 'blob-fs-type': 'ext4' });
  const buildkit = overlaybdLayer('c');
  const odd = overlaybdLayer('d', {}, OCI_GZIP_LAYER);
  t.match(await find([convertor, ctr, buildkit, odd]), {
    lowers: [0, 1, 2, 3],
    trace: null,
    notes: [],
  });
});

await test('the base layer of the convertor, also without annotations', async (t) => {
  const digest = 'sha256:c3a417552a6cf9ffa959b541850bab7d7f08f4255425bf8b48c85f7b36b378d9';
  const base = { mediaType: DOCKER_LAYER, digest, size: 4_737_695 };
  t.match(await find([base, native('a')]), { lowers: [0, 1] });
});

await test('acceleration layers are never part of the disk', async (t) => {
  t.match(await find([native('a'), trace('t')]), { lowers: [0], trace: 1, notes: [] });
  const twice = await find([native('a'), trace('t'), native('b'), trace('u')]);
  t.match(twice, { lowers: [0, 2], trace: 3 });
  t.match(twice.notes, [/only the topmost is used/]);
  await t.rejects(find([trace('t')]), { code: 'BAD_FORMAT', message: /no other layer/ });
  // Annotations lost: by its bytes.
  t.match(await find([native('a'), plain('t')], ['data', 'trace']), {
    lowers: [0],
    trace: 1,
    looked: [1],
  });
});

await test('an ordinary image', async (t) => {
  const gzip = plain('a', OCI_GZIP_LAYER);
  t.same(await find([gzip, gzip]), {
    lowers: null,
    trace: null,
    notes: [],
    targets: [],
    looked: [],
  });
  t.match(await find([]), { lowers: null });
  t.match(await find([plain('a')]), { lowers: null });
  // One look is enough.
  t.match(await find([plain('a'), plain('b'), plain('c')], ['other', 'data', 'data']), {
    lowers: null,
    looked: [0],
  });
});

await test('overlaybd blobs without any annotation', async (t) => {
  const found = await find([plain('a'), plain('b'), plain('t')], ['data', 'data', 'trace']);
  t.match(found, { lowers: [0, 1], trace: 2, looked: [0, 1, 2] });
  t.match(found.notes, [/its layers have no overlaybd annotations/]);
});

await test('an unknown layer among others', async (t) => {
  t.match(await find([native('a'), plain('b')]), { lowers: [0, 1] }, 'the opener looks at it');
  t.match(await find([plain('a'), native('b')], ['data']), { lowers: [0, 1], notes: [] });
  const ordinary = {
    code: 'UNSUPPORTED',
    message:
      /^app:1: layer 1 of 2: an ordinary layer \("application\/.*, sha256:.*\) among overlaybd layers/,
  };
  await t.rejects(find([native('a'), plain('b')], ['data', 'other']), ordinary);
  await t.rejects(find([native('a'), plain('b', OCI_GZIP_LAYER)]), ordinary);
});

const turbo = (keys: Json): Json => overlaybdLayer('b', keys, OCI_GZIP_LAYER);

await test('turboOCI and its old name', async (t) => {
  const target = descriptor(OCI_GZIP_LAYER, 'target')['digest'];
  for (const keys of [{ 'turbo-oci/target-digest': target }, { 'fastoci/target-digest': target }]) {
    const found = await find([native('a'), turbo(keys)]);
    t.match(found, { lowers: [0, 1], targets: [[1, target]], notes: [] });
  }
  const refusal = {
    code: 'UNSUPPORTED',
    message: /^app:1: layer 1 of 2: a turboOCI layer .*no annotation names the ordinary layer/,
  };
  for (const version of ['0.1.0-turbo.ociv1', '0.1.0-fastoci']) {
    await t.rejects(find([native('a'), turbo({ version })]), refusal);
  }
  await t.rejects(find([plain('a'), plain('b')], ['data', 'turbo']), refusal);
  const other = { 'turbo-oci/target-digest': `sha512:${'0'.repeat(128)}` };
  await t.rejects(find([native('a'), turbo(other)]), { code: 'UNSUPPORTED', message: /sha512/ });
  await t.rejects(find([native('a'), turbo({ 'turbo-oci/target-digest': '../x' })]), {
    message: /^app:1: layer 1 of 2: /,
  });
});

await test('annotations that contradict the descriptor', async (t) => {
  const other = { ...native('a'), ...descriptor(OCI_GZIP_LAYER, 'compressed') };
  await t.rejects(find([native('b'), other]), {
    code: 'BAD_FORMAT',
    message:
      /^app:1: layer 1 of 2: its annotation blob-digest is "sha256:.*a tool has changed the layer/,
  });
  const annotations = { [`${PREFIX}blob-size`]: '0x1' };
  await t.rejects(find([{ ...plain('a'), annotations }]), {
    message: /its annotation blob-size is "0x1", but the descriptor says 1/,
  });
});

await test('digests of other algorithms', async (t) => {
  const digest = `sha512:${'0'.repeat(128)}`;
  const annotations = { [`${PREFIX}blob-digest`]: digest };
  await t.rejects(find([{ ...plain('a'), digest, annotations }]), {
    code: 'UNSUPPORTED',
    message: /only sha256/,
  });
});

await test('the limit of layers: one more if one is the acceleration layer', async (t) => {
  const many = Array.from({ length: 255 }, (_, i) => native(`${i}`));
  t.equal((await find([...many, trace('t')])).lowers?.length, 255);
  await t.rejects(find([...many, native('x')]), {
    code: 'LIMIT',
    message: 'app:1: 256 layers, at most 255',
  });
});
