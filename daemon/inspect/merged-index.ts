// The merged index of an image whose layers have been opened and read one by one.

import type { ProblemSink } from '../errors.js';
import { UNBOUNDED } from '../lib/effort.js';
import { buildIndex } from '../lsmt/build-index.js';
import { LsmtIndex } from '../lsmt/merged-index.js';
import type { LsmtLayer } from '../lsmt/layer.js';
import { readStack } from '../lsmt/read-stack.js';

/** For layers whose broken entries were reported when their own indexes were read. */
const ignore = (): void => undefined;

/**
 * @param sink gets every broken rule of an entry
 * @throws OverlaybdError LIMIT when there are too many entries or segments, and what the sink throws
 */
export async function mergedIndex(
  layers: readonly LsmtLayer[],
  virtualSize: number,
  name: string,
  sink: ProblemSink = ignore,
): Promise<LsmtIndex> {
  const log = await readStack(layers, name, UNBOUNDED, sink);
  return new LsmtIndex(buildIndex(log, virtualSize, name));
}
