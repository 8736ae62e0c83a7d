// Errors of names, manifests and local images: their facts.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import type { ErrorFacts } from '../../../daemon/errors.js';
import { nydusLayers } from '../../../daemon/registry/nydus-layers.js';
import { parsePlatform } from '../../../daemon/registry/platform.js';
import { parseReference } from '../../../daemon/registry/reference.js';
import { parseRepoBlobUrl } from '../../../daemon/registry/repo-blob-url.js';
import { resolveImage } from '../../../daemon/registry/resolve.js';
import { resolveLocal } from '../../../daemon/registry/resolve-local.js';
import { parseUpstreamConfig } from '../../../daemon/registry/upstream-config.js';
import { writeArchive } from '../../support/archive-writer.js';
import { checkErrors, type ErrorRow } from '../../support/error-rows.js';
import {
  MemoryKnown,
  MemoryRegistry,
  OCI_GZIP_LAYER,
  OCI_MANIFEST,
  descriptor,
  encode,
  imageIndex,
  imageManifest,
  overlaybdLayer,
  sha256,
  type Json,
} from '../../support/memory-registry.js';

const NAME = 'reg.example/team/app:1';
const IMAGE = { image: NAME, host: 'reg.example' };
const ARM = { platform: { os: 'linux', architecture: 'arm64' } };
const SHA512 = `sha512:${'0'.repeat(128)}`;

/** Resolves the tag of that manifest. */
function resolved(top: Json, children: readonly Json[] = []): () => Promise<unknown> {
  return () => {
    const registry = new MemoryRegistry();
    for (const child of children) registry.put(child, null);
    const { mediaType = OCI_MANIFEST } = top;
    registry.putBytes(encode(top), mediaType as string, '1');
    const reference = parseReference(NAME);
    if (reference.kind !== 'registry') throw new TypeError(reference.kind);
    const options = { platform: 'linux/amd64', pull: 'newer' } as const;
    return resolveImage(reference, options, registry, new MemoryKnown());
  };
}

function layerWith(key: string, value: string): Json {
  const layer = overlaybdLayer('a');
  return { ...layer, annotations: { ...(layer['annotations'] as Json), [key]: value } };
}

const overlaybd = 'containerd.io/snapshot/overlaybd/';
const child = imageManifest([overlaybdLayer('a')]);
const childDigest = sha256(encode(child));
const bad = imageManifest([overlaybdLayer('a')], { layers: [{ size: -1 }] });
const badDigest = sha256(encode(bad));
const size = encode(child).length;

const ROWS: Record<string, ErrorRow> = {
  'no name': [() => parseReference('Bad name'), 'BAD_ARGUMENT', { image: '"Bad name"' }],
  'a name with a login': [
    () => parseReference('https://me:secret@reg.example/app'),
    'BAD_ARGUMENT',
    { image: '"https://...@reg.example/app"' },
  ],
  'no platform': [
    () => parsePlatform('linux'),
    'BAD_ARGUMENT',
    { expected: 'OS/ARCHITECTURE[/VARIANT], as linux/arm64/v8', got: '"linux"' },
  ],
  'no repoBlobUrl': [
    () =>
      parseRepoBlobUrl('https://me:secret@h/x?sig=secret', { path: '/c', section: 'repoBlobUrl' }),
    'BAD_CONFIG',
    { path: '/c', section: 'repoBlobUrl', url: 'https://...@h/x?...' },
  ],
  'two bootstraps': [
    () =>
      nydusLayers(
        ['a', 'b'].map((digest) => ({
          digest,
          size: 1,
          mediaType: '',
          platform: null,
          artifactType: null,
          annotations: new Map([['containerd.io/snapshot/nydus-bootstrap', 'true']]),
        })),
        NAME,
      ),
    'BAD_FORMAT',
    { image: NAME, digest: 'b' },
  ],
  "upstream's configuration": [
    () => parseUpstreamConfig('{"credentialConfig":{"mode":"http","path":""}}', '/etc/o.json'),
    'BAD_CONFIG',
    { path: '/etc/o.json', section: 'credentialConfig.path' },
  ],
  'both kinds': [resolved({ layers: [], manifests: [], config: {} }), 'BAD_FORMAT', IMAGE],
  'too many layers': [
    resolved(imageManifest(Array.from({ length: 257 }, () => ({})))),
    'LIMIT',
    { ...IMAGE, expected: 'at most 256', got: 257 },
  ],
  'a wrong value': [
    resolved(imageIndex([descriptor(OCI_MANIFEST, encode(bad), AMD64())]), [bad]),
    'BAD_FORMAT',
    {
      ...IMAGE,
      digest: badDigest,
      section: `manifest ${badDigest}: layers.0.mediaType`,
    },
  ],
  'no image for the platform': [
    resolved(imageIndex([descriptor(OCI_MANIFEST, 'a', ARM)])),
    'NOT_FOUND',
    { ...IMAGE, expected: 'linux/amd64' },
  ],
  'another size': [
    resolved(imageIndex([{ ...descriptor(OCI_MANIFEST, encode(child), AMD64()), size: 7 }]), [
      child,
    ]),
    'BAD_FORMAT',
    { ...IMAGE, digest: childDigest, section: `manifest ${childDigest}`, expected: '7', got: size },
  ],
  'another blob-size': [
    resolved(imageManifest([layerWith(`${overlaybd}blob-size`, '7')])),
    'BAD_FORMAT',
    { ...IMAGE, section: 'layer 0 of 1', expected: '"7"', got: '1' },
  ],
  'a digest of another algorithm': [
    resolved(imageManifest([{ ...descriptor(OCI_GZIP_LAYER, 'a'), digest: SHA512 }])),
    'UNSUPPORTED',
    { ...IMAGE, section: 'layer 0 of 1', digest: SHA512 },
  ],
  'a table of contents without a digest': [
    resolved(
      imageManifest([
        {
          ...descriptor(OCI_GZIP_LAYER, 'a'),
          annotations: { 'containerd.io/snapshot/stargz/toc.digest': 'x' },
        },
      ]),
    ),
    'BAD_FORMAT',
    {
      ...IMAGE,
      section: 'layer 0 of 1: its annotation containerd.io/snapshot/stargz/toc.digest',
      expected: '"sha256:" and 64 digits',
      got: '"x"',
    },
  ],
};

function AMD64(): Json {
  return { platform: { os: 'linux', architecture: 'amd64' } };
}

await test('errors of names and manifests have their facts', async (t) =>
  // The line about an export names the host of its image.
  checkErrors(t, ROWS, ['host']));

const of = (image: string, facts: ErrorFacts): ErrorFacts => ({ image, ...facts });

function local(name: string): () => Promise<unknown> {
  return () => {
    const reference = parseReference(name);
    if (reference.kind === 'registry') throw new TypeError(name);
    return resolveLocal(reference, null);
  };
}

await test('errors of local images have their facts', async (t) => {
  const folder = t.testdir();
  const layout = (top: Json): string => {
    const path = join(folder, sha256(encode(top)).slice(7, 17));
    mkdirSync(join(path, 'blobs/sha256'), { recursive: true });
    writeFileSync(join(path, 'index.json'), encode(top));
    return path;
  };
  const archive = (name: string, members: Readonly<Record<string, string>>): string => {
    const path = join(folder, name);
    const each = Object.entries(members).map(([member, text]) => {
      return { name: member, content: text };
    });
    writeFileSync(path, writeArchive(each));
    return path;
  };
  const empty = layout(imageIndex([]));
  const wrong = layout(imageIndex([descriptor(OCI_MANIFEST, 'bytes', AMD64())]));
  const digest = sha256('bytes');
  const path = join(wrong, 'blobs', 'sha256', digest.slice(7));
  writeFileSync(path, 'other');
  const id = '0'.repeat(64);
  const two = JSON.stringify([{ Config: 'a' }, { Config: 'b' }]);
  const misnamed = archive('id.tar', {
    'manifest.json': JSON.stringify([{ Config: `${id}.json` }]),
    [`${id}.json`]: '{}',
  });
  const several = archive('two.tar', { 'manifest.json': two });
  const typed = archive('typed.tar', { 'manifest.json': '[{"Config":7}]' });
  await checkErrors(
    t,
    {
      'no layout': [
        local(`oci:${folder}`),
        'NOT_FOUND',
        of(`oci:${folder}`, { path: folder, blob: join(folder, 'index.json') }),
      ],
      'no images': [local(`oci:${empty}`), 'NOT_FOUND', of(`oci:${empty}`, {})],
      'no such tag': [local(`oci:${empty}:x`), 'NOT_FOUND', of(`oci:${empty}:x`, {})],
      'other bytes': [
        local(`oci:${wrong}`),
        'BAD_CHECKSUM',
        of(`oci:${wrong}`, { path, digest, expected: digest, got: sha256('other') }),
      ],
      'a configuration with another digest': [
        local(`docker-archive:${misnamed}`),
        'BAD_CHECKSUM',
        of(`docker-archive:${misnamed}`, {
          blob: misnamed,
          section: `"${id}.json"`,
          expected: `sha256:${id}`,
          got: sha256('{}'),
        }),
      ],
      'several images': [
        local(`docker-archive:${several}`),
        'BAD_ARGUMENT',
        of(`docker-archive:${several}`, { got: 2 }),
      ],
      'a wrong type': [
        local(`docker-archive:${typed}`),
        'BAD_FORMAT',
        of(`docker-archive:${typed}`, {
          blob: typed,
          section: 'manifest.json: 0.Config',
          expected: 'a string with at least one character',
          got: '7',
        }),
      ],
    },
    ['image', 'blob'],
  );
});
