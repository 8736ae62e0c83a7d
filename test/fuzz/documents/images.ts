// Images on this machine whose documents are damaged: layouts with all kinds of manifests, archives of docker save, and image
// configurations. What is above a damaged document has its digest, so that it is reached.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { planConfig } from '../../../daemon/image/plan/config-plan.js';
import { base, mustBeHandled } from '../../support/hostile-blobs.js';
import { LayoutWriter } from '../../support/layout-writer.js';
import {
  descriptor,
  imageIndex,
  imageManifest,
  OCI_GZIP_LAYER,
  OCI_INDEX,
  OCI_LAYER,
  OCI_MANIFEST,
  sha256,
  type Json,
} from '../../support/memory-registry.js';
import { writeUstar } from '../../support/ustar.js';
import { changedJson, jsonChanges, type JsonChange } from './json-changes.js';
import { mustEnd } from './must-end.js';

const CONFIG = 'application/vnd.oci.image.config.v1+json';
const SOCI = 'application/vnd.amazon.soci.index.v1+json';
const NATIVE = 'application/vnd.containerd.overlaybd.native.v1+json';
const TAG = 'org.opencontainers.image.ref.name';

const archive = writeUstar([
  { name: 'd/', type: '5' },
  { name: 'd/f', bytes: Buffer.from('f') },
]);
const layer = gzipSync(archive);

/** Layers of one image of each kind. */
const LAYERS: Readonly<Record<string, Json[]>> = {
  ordinary: [descriptor(OCI_LAYER, archive), descriptor(OCI_GZIP_LAYER, layer)],
  overlaybd: [
    descriptor(OCI_LAYER, base, {
      annotations: {
        'containerd.io/snapshot/overlaybd/blob-digest': sha256(base),
        'containerd.io/snapshot/overlaybd/blob-size': String(base.length),
      },
    }),
  ],
  turbo: [
    descriptor(OCI_LAYER, base, {
      annotations: {
        'containerd.io/snapshot/overlaybd/blob-digest': sha256(base),
        'containerd.io/snapshot/overlaybd/turbo-oci/target-digest': sha256(layer),
      },
    }),
  ],
  estargz: [
    descriptor(OCI_GZIP_LAYER, layer, {
      annotations: { 'containerd.io/snapshot/stargz/toc.digest': sha256('toc') },
    }),
  ],
  nydus: [
    descriptor(OCI_LAYER, archive),
    descriptor(OCI_GZIP_LAYER, layer, {
      annotations: { 'containerd.io/snapshot/nydus-bootstrap': 'true' },
    }),
  ],
};

const DOCUMENTS = ['config', 'manifest', 'index', 'SOCI index', 'referrers', 'index.json'] as const;

const layoutCase = fc.record({
  kind: fc.constant('layout' as const),
  layers: fc.constantFrom(...Object.keys(LAYERS)),
  damaged: fc.constantFrom(...DOCUMENTS),
  changes: jsonChanges,
});
const archiveCase = fc.record({
  kind: fc.constant('docker-archive' as const),
  damaged: fc.constantFrom('manifest.json' as const, 'config' as const),
  hasTag: fc.boolean(),
  changes: jsonChanges,
});
const configCase = fc.record({
  kind: fc.constant('config.v1.json' as const),
  damaged: fc.constantFrom('lowers' as const, 'registry' as const, 'upper' as const),
  changes: jsonChanges,
});
export const hostileImage = fc.oneof({ weight: 3, arbitrary: layoutCase }, archiveCase, configCase);
export type HostileImage = typeof hostileImage extends fc.Arbitrary<infer T> ? T : never;

/** @param folder for this case alone */
export async function imageMustBeHandled(folder: string, played: HostileImage): Promise<void> {
  const { kind, changes } = played;
  if (kind === 'layout') {
    writeLayout(folder, played);
    await mustBeHandled([`oci:${folder}:app`]);
    return;
  }
  if (kind === 'docker-archive') {
    const path = join(folder, 'archive.tar');
    writeFileSync(path, archiveOf(played.damaged, changes));
    await mustBeHandled([`docker-archive:${path}${played.hasTag ? ':app:1' : ''}`]);
    return;
  }
  writeFileSync(join(folder, 'base'), base);
  mkdirSync(join(folder, 'dir'), { recursive: true });
  writeFileSync(join(folder, 'dir/overlaybd.commit'), base);
  const path = join(folder, 'config.v1.json');
  const text = changedJson(configurationOf(played.damaged), changes);
  writeFileSync(path, text);
  // There is no registry here.
  if (played.damaged === 'registry') await mustEnd(() => planConfig(path, text));
  else await mustBeHandled([path]);
}

function writeLayout(
  folder: string,
  { layers, damaged, changes }: HostileImage & { kind: 'layout' },
): void {
  const layout = new LayoutWriter(folder);
  for (const bytes of [archive, layer, base]) layout.blob(bytes, null);
  const put = (
    name: (typeof DOCUMENTS)[number],
    type: string,
    value: Json,
    more: Json = {},
  ): Json => {
    const text = name === damaged ? changedJson(value, changes) : JSON.stringify(value);
    writeFileSync(layout.pathOf(sha256(text)), text);
    return descriptor(type, text, more);
  };
  const parts = LAYERS[layers] as Json[];
  const diffIds = parts.map(() => sha256(archive));
  const config = put('config', CONFIG, {
    architecture: 'amd64',
    os: 'linux',
    rootfs: { type: 'layers', diff_ids: diffIds },
  });
  const plain = imageManifest(parts, { config, annotations: { a: 'b' } });
  const manifest = put('manifest', OCI_MANIFEST, plain);
  const platform = { os: 'linux', architecture: 'amd64', variant: 'v1' };
  const top = put('index', OCI_INDEX, imageIndex([{ ...manifest, platform }]));
  const annotations = { 'com.amazon.soci.image-layer-digest': String(parts[0]?.['digest']) };
  const ztoc = descriptor('application/octet-stream', layer, { annotations });
  const soci = put(
    'SOCI index',
    OCI_MANIFEST,
    imageManifest([ztoc], { config: descriptor(SOCI, '{}'), subject: manifest }),
  );
  const created = { 'org.opencontainers.image.created': '2026-01-01T00:00:00Z' };
  const list = imageIndex([
    { ...soci, artifactType: SOCI, annotations: created },
    { ...top, artifactType: NATIVE, annotations: created },
  ]);
  const referrers = put('referrers', OCI_INDEX, list);
  const entries = [
    { ...top, annotations: { [TAG]: 'app' } },
    { ...referrers, annotations: { [TAG]: String(manifest['digest']).replace(':', '-') } },
    { ...soci, artifactType: SOCI },
  ];
  const index = imageIndex(entries);
  const text = damaged === 'index.json' ? changedJson(index, changes) : JSON.stringify(index);
  writeFileSync(join(folder, 'index.json'), text);
}

function archiveOf(damaged: 'manifest.json' | 'config', changes: readonly JsonChange[]): Buffer {
  const textOf = (name: string, value: unknown): string =>
    name === damaged ? changedJson(value, changes) : JSON.stringify(value);
  const config = textOf('config', { rootfs: { type: 'layers', diff_ids: [sha256(archive)] } });
  const image = { Config: 'config.json', RepoTags: ['app:1'], Layers: ['a/layer.tar'] };
  const other = { Config: 'config.json', RepoTags: ['b:1'], Layers: ['linked.tar'] };
  return writeUstar([
    { name: 'manifest.json', bytes: Buffer.from(textOf('manifest.json', [image, other])) },
    { name: 'config.json', bytes: Buffer.from(config) },
    { name: 'a/layer.tar', bytes: archive },
    { name: 'linked.tar', type: '2', link: 'a/layer.tar' },
    { name: 'loop', type: '2', link: 'loop' },
  ]);
}

function configurationOf(which: 'lowers' | 'registry' | 'upper'): Json {
  const lower = { file: 'base', dir: 'dir', digest: sha256(base), size: base.length };
  if (which === 'lowers') return { lowers: [lower, { dir: 'dir' }], resultFile: 'result' };
  if (which === 'upper') {
    return { lowers: [{ file: 'base' }], upper: { index: 'base', data: 'base', target: '' } };
  }
  return {
    repoBlobUrl: 'https://registry.example/v2/team/app/blobs',
    lowers: [{ dir: 'none', digest: sha256(base), size: 10 }, { dir: 'dir' }],
    accelerationLayer: true,
    recordTracePath: 'trace',
  };
}
