// Images of turboOCI in layouts: their manifests have digests of the layers, which have the metadata of the file system.
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { writeTurboForm } from '../forms/turbo-form.js';
import { ImageLayout } from '../registry/image-layout.js';
import { describe, encodeJson, sha256 } from '../registry/image-place.js';
import { OCI, OVERLAYBD, type Descriptor } from '../registry/media-types.js';
import { writeUstar } from '../ustar.js';
import type { FlipSource } from './judge.js';
import { flipDrafts } from './tree.js';

const GZIP = OCI.gzipLayer;

type Made = FlipSource & { readonly trusted: readonly string[] };

/** Nothing verifies the targets; the layers have the metadata of the file system. */
export const turbo =
  (target: 'tar' | 'tar.gz') =>
  async (folder: string, variant: number): Promise<Made> => {
    const parts = `${folder}.parts`;
    mkdirSync(parts, { recursive: true });
    const options = {
      target,
      wrapper: {
        zfile: { algorithm: 'lz4', blockSize: 4096, verify: false, mode: 'trailer' },
        tar: 'none',
      },
      sparseForm: 0,
      memberSize: Infinity,
      spanSize: 20_000,
      atMembers: false,
      longest: 100_000,
    } as const;
    await writeTurboForm(parts, flipDrafts(variant), [options, options]);
    const layout = new ImageLayout(folder);
    const part = (name: string): Buffer => readFileSync(join(parts, name));
    const layers: Descriptor[] = [];
    const trusted: string[] = [];
    for (const i of [0, 1]) {
      const targetBytes = part(`${i}.${target}`);
      const bytes = gzipSync(
        writeUstar([
          { name: '.turbo.ociv1' },
          { name: 'erofs.fs.meta', bytes: part(`${i}.fs.meta`) },
          ...(target === 'tar' ? [] : [{ name: 'gzip.meta', bytes: part(`${i}.gzip.meta`) }]),
        ]),
      );
      for (const each of [bytes, targetBytes]) await layout.putBytes(each);
      trusted.push(`blobs/${sha256(targetBytes).replace(':', '/')}`);
      const plain = describe(GZIP, bytes);
      const values = {
        'blob-digest': plain.digest,
        'blob-size': `${plain.size}`,
        version: '0.1.0-turbo.ociv1',
        'turbo-oci/target-digest': sha256(targetBytes),
      };
      const annotations = Object.fromEntries(
        Object.entries(values).map(([key, value]) => [OVERLAYBD + key, value]),
      );
      layers.push({ ...plain, annotations });
    }
    const config = encodeJson({ architecture: 'amd64', os: 'linux' });
    await layout.putBytes(config);
    const manifest = { schemaVersion: 2, mediaType: OCI.manifest, layers };
    const described = { ...manifest, config: describe(OCI.config, config) };
    await layout.putManifest(encodeJson(described), OCI.manifest, 'app');
    return { words: [`oci:${folder}:app`], beside: {}, trusted };
  };
