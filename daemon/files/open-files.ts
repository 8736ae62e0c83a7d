// Opens an image to look at its files: with the opener of `serve`, and without a device.

import { OverlaybdError } from '../errors.js';
import type { Beside } from '../image/image-source.js';
import { sourceOfWords } from '../image/image-source.js';
import { isOfTrees, openStack, type OpenedLayer, type StackOptions } from '../image/open-stack.js';
import { planImage, type ImagePlan } from '../image/plan.js';
import { contentSources, mergedTree, showsWhiteouts, treesOf } from '../image/tree-image.js';
import { inspectionOptions } from '../inspect/open-for-inspection.js';
import type { Progress } from '../lib/effort.js';
import type { Remote } from '../registry/remote.js';
import { treeRoot, type OpenSource } from './tree-files.js';
import type { ImageFile } from './image-file.js';

export interface OpenFilesOptions {
  /** Opens images of registries. */
  readonly remote: Remote;
  readonly beside: Beside | null;
  /** Gets what people should know. */
  readonly tell: (note: string) => void;
  /** Told of layers that must be read as a whole. */
  readonly progress?: Progress;
  /** Looks at the files of an image that is a disk, and not made of files. */
  readonly disk: <T>(name: string, use: (root: ImageFile) => Promise<T>) => Promise<T>;
}

/**
 * Opens an image, lets `use` look at its files, and closes it.
 * @param words a configuration, the name of an image, or blobs, bottom first
 * @throws OverlaybdError for the first thing that is broken or not supported
 */
export async function withFiles<T>(
  words: readonly string[],
  use: (root: ImageFile) => Promise<T>,
  { remote, beside, tell, progress, disk }: OpenFilesOptions,
): Promise<T> {
  const options = inspectionOptions(remote, progress);
  let name: string;
  try {
    const plan = await planImage(sourceOfWords(words).blobs, options.files, {
      effort: options.effort,
      remote: () => remote.images(),
      beside: beside ?? undefined,
    });
    const layers = await openStack(plan, options);
    for (const note of plan.notes) tell(note);
    if (isOfTrees(layers)) return await use(rootOf(layers, plan, options));
    name = plan.name;
  } finally {
    options.files.release();
  }
  return disk(name, use);
}

function rootOf(
  layers: readonly OpenedLayer[],
  { name, layer }: ImagePlan,
  options: StackOptions,
): ImageFile {
  const trees = treesOf(layers, name);
  const tree = mergedTree(trees, showsWhiteouts(layers, layer));
  return treeRoot(tree, sourceOpener(layers, options), layer === undefined ? undefined : [layer]);
}

function sourceOpener(
  layers: readonly OpenedLayer[],
  { readers, effort }: StackOptions,
): OpenSource {
  const sources = contentSources(layers);
  const missing = layers.find((layer) => layer.missing)?.missing;
  return async (number) => {
    const source = sources[number];
    if (!source) throw missing ?? new OverlaybdError('BUG', `no content source ${number}`);
    const { blob, around } = source;
    const { spec } = await blob.content(effort);
    return readers.source(around ? { ...around, of: spec } : spec);
  };
}
