// Images of layers of files by the formats' own tools, damaged: seeds for test/fuzz, if the fixtures are there.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import type { Beside } from '../../daemon/image/plan/image-source.js';
import { mustBeHandled, mutate, mutations } from './hostile-blobs.js';
import { findLazyFixtures } from './lazy-fixtures.js';

interface FixtureSeed {
  readonly folder: string;
  /** What is damaged: the image, or a file beside it. */
  readonly damaged: string;
  /** The layer, if a file beside it is damaged. */
  readonly layer?: string;
  /** Names below the folder. */
  readonly ztoc?: string;
  readonly objects?: string;
  readonly blobs?: string;
}

const GZIP_SOCI = { layer: 'layer.tar.gz', ztoc: 'layer.ztoc' };
const TWO_DEVICES = { layer: 'meta.erofs', blobs: 'blob.dev' };

/** Small ones, one for each form at least. */
const SEEDS: readonly FixtureSeed[] = [
  { folder: 'f05-tar-sparse', damaged: 'sparse-0.0.tar' },
  { folder: 'f05-tar-sparse', damaged: 'sparse-0.1.tar' },
  { folder: 'f05-tar-sparse', damaged: 'sparse-1.0.tar' },
  { folder: 'f05-tar-sparse', damaged: 'sparse-oldgnu.tar' },
  { folder: 'f11-estargz-prefetch-chunk64k', damaged: 'layer.tar.gz' },
  { folder: 'f14-stargz-legacy', damaged: 'layer.tar.gz' },
  { folder: 'f16-zstdchunked-stargz', damaged: 'layer.tar.zst' },
  { folder: 'f18-zstdchunked-storage-new', damaged: 'layer.tar.zst' },
  { folder: 'f20-soci', damaged: 'layer.tar.gz', ...GZIP_SOCI },
  { folder: 'f20-soci', damaged: 'layer.ztoc', ...GZIP_SOCI },
  { folder: 'f22-soci-uncompressed', damaged: 'layer.ztoc', ...GZIP_SOCI, layer: 'layer.tar' },
  { folder: 'f23-soci-zinfo-v1', damaged: 'layer.ztoc', ...GZIP_SOCI },
  { folder: 'f30-composefs-v0', damaged: 'image.cfs', objects: 'objects' },
  { folder: 'f40-nydus-v6-zstd', damaged: 'image.boot', blobs: 'blobs' },
  { folder: 'f42-nydus-v6-bootstrap-only', damaged: 'bootstrap-layer.tar.gz' },
  { folder: 'f50-erofs-plain', damaged: 'image.erofs' },
  { folder: 'f51-erofs-chunked-2dev', damaged: 'meta.erofs', ...TWO_DEVICES },
  { folder: 'f51-erofs-chunked-2dev', damaged: 'blob.dev', ...TWO_DEVICES },
  { folder: 'f60-tarfs-kata', damaged: 'upper.tarfs' },
];

export const hostileFixture = fc.record({ seed: fc.constantFrom(...SEEDS), damage: mutations });
type HostileFixture = typeof hostileFixture extends fc.Arbitrary<infer T> ? T : never;

export const haveFixtures = findLazyFixtures() !== null;

/** @param folder where the damaged file is written */
export async function fixtureMustBeHandled(
  folder: string,
  { seed, damage }: HostileFixture,
): Promise<void> {
  const root = join(findLazyFixtures() as string, seed.folder);
  const bad = join(folder, 'fixture');
  writeFileSync(bad, mutate(readFileSync(join(root, seed.damaged)), damage));
  const pathOf = (name: string): string => (name === seed.damaged ? bad : join(root, name));
  const { ztoc, objects, blobs } = seed;
  const beside: Beside = {
    tocBlob: null,
    tocDigest: null,
    ztocs: ztoc === undefined ? [] : [pathOf(ztoc)],
    ...(objects !== undefined && { objects: pathOf(objects) }),
    ...(blobs !== undefined && { blobs: pathOf(blobs) }),
  };
  await mustBeHandled([pathOf(seed.layer ?? seed.damaged)], beside);
}
