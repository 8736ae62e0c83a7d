// The merged index of an image whose layers have been opened and read one by one.

import { UNBOUNDED } from '../lib/effort.js';
import { buildIndex } from '../lsmt/build-index.js';
import { LsmtIndex } from '../lsmt/merged-index.js';
import type { LsmtLayer } from '../lsmt/layer.js';
import { readStack } from '../lsmt/read-stack.js';

/** Broken entries of a layer were reported when its own index was read. */
const ignore = (): void => undefined;

/** @throws OverlaybdError LIMIT when there are too many entries or segments */
export async function mergedIndex(
  layers: readonly LsmtLayer[],
  virtualSize: number,
  name: string,
): Promise<LsmtIndex> {
  const log = await readStack(layers, name, UNBOUNDED, ignore);
  return new LsmtIndex(buildIndex(log, virtualSize, name));
}
