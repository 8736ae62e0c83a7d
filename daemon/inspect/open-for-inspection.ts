// Opens an image to look at it, with the opener of `serve`, and reads the index of each layer by itself.

import { ReaderFactory } from '../image/disks/reader-factory.js';
import { BlobPool } from '../image/plan/blob-pool.js';
import { withSecondTry } from '../image/stack/fetched-again.js';
import { marksOf, type ImageMarks } from '../image/stack/fingerprint.js';
import { ImageBlobs } from '../image/plan/image-blobs.js';
import { sourceOfWords, type Beside } from '../image/plan/image-source.js';
import { NO_REMOTE, type Remote, type RemoteImages } from '../registry/remote.js';
import { openStack, type OpenedLayer, type StackOptions } from '../image/stack/open-stack.js';
import { planImage, type ImagePlan } from '../image/plan/plan.js';
import { throwProblem, type ProblemSink } from '../errors.js';
import { UNBOUNDED, type Progress } from '../lib/effort.js';
import { buildIndex } from '../lsmt/build-index.js';
import { EntryLog } from '../lsmt/entry-log.js';
import { MAX_VIRTUAL_SIZE } from '../lsmt/format.js';
import type { EntryCounts } from '../lsmt/layer.js';
import { LsmtIndex } from '../lsmt/merged-index.js';
import { checkStackEntries } from '../lsmt/read-stack.js';

/** In the index of one layer alone: what its segments map a range of. The layer itself is 0. */
export const TARGET_NUMBER = 1;

/** A layer with its index alone, up to the end of the largest disk. */
export interface InspectedLayer extends OpenedLayer {
  /** Null for what has no index: a raw disk image, or one file of an append-only upper. */
  readonly own: { readonly index: LsmtIndex; readonly counts: EntryCounts } | null;
}

export interface InspectedImage {
  readonly plan: ImagePlan;
  /** Bottom first, the upper last. */
  readonly layers: readonly InspectedLayer[];
  /** What tells the image from others. */
  readonly marks: () => Promise<ImageMarks>;
}

/**
 * The options with which `inspect` and `verify` open layers.
 * @param progress reports layers that must be read as a whole
 */
export function inspectionOptions(remote: Remote, progress?: Progress): StackOptions {
  const images = (): RemoteImages => remote.images();
  const readers = new ReaderFactory(images);
  const files = new ImageBlobs(new BlobPool(readers, images));
  return {
    readers,
    files,
    effort: { ...UNBOUNDED, progress },
    sink: throwProblem,
    records: remote.records(),
    mayBeUpper: true,
  };
}

/**
 * Opens an image, lets `use` look at it, and closes it. If `use` fails for what wrong bytes may have caused, it is called once more.
 * @param words a configuration, or blobs, bottom first
 * @throws OverlaybdError for the first thing that is broken or not supported
 */
export async function withInspectedImage<T>(
  words: readonly string[],
  use: (image: InspectedImage) => Promise<T>,
  remote: Remote = NO_REMOTE,
  beside: Beside | null = null,
  progress?: Progress,
): Promise<T> {
  const options = inspectionOptions(remote, progress);
  try {
    const { blobs } = sourceOfWords(words);
    const plan = await planImage(blobs, options.files, {
      effort: UNBOUNDED,
      remote: () => remote.images(),
      beside: beside ?? undefined,
    });
    return await withSecondTry(
      options.files,
      options.effort,
      (effort) => openStack(plan, { ...options, effort }),
      async (opened) => {
        const layers: InspectedLayer[] = [];
        for (const layer of opened) layers.push(await withIndex(layer));
        return use({ plan, layers, marks: () => marksOf(plan, options.files) });
      },
    );
  } finally {
    options.files.release();
  }
}

/**
 * Reads the index of one layer.
 * @param sink gets every broken rule of its entries; with the default the first one is thrown
 * @throws OverlaybdError LIMIT, and what the layer throws
 */
export async function withIndex(
  layer: OpenedLayer,
  sink: ProblemSink = throwProblem,
): Promise<InspectedLayer> {
  if (layer.content.kind !== 'lsmt') return { ...layer, own: null };
  const lsmt = layer.content.layer;
  const { name } = layer.inner.source;
  checkStackEntries([lsmt], name);
  const log = new EntryLog(lsmt.capacity);
  const counts = await lsmt.readEntries(log, 0, UNBOUNDED, sink, TARGET_NUMBER);
  const index = new LsmtIndex(buildIndex(log, MAX_VIRTUAL_SIZE, name));
  return { ...layer, own: { index, counts } };
}
