// The index of all layers of an image that is looked at, once each layer has been opened by itself.

import { UNBOUNDED } from '../lib/effort.js';
import { buildIndex } from '../lsmt/build-index.js';
import { LsmtIndex } from '../lsmt/merged-index.js';
import type { LsmtLayer } from '../lsmt/layer.js';
import { readStack } from '../lsmt/read-stack.js';

/** What is wrong with the entries of a layer was told when it was opened. */
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
