// Opens an image to look at its files: with the opener of `serve`, and without a device.

import { OverlaybdError } from '../errors.js';
import type { Beside } from '../image/image-source.js';
import { sourceOfWords } from '../image/image-source.js';
import { openStack, type OpenedLayer, type StackOptions } from '../image/open-stack.js';
import { planImage, type ImagePlan } from '../image/plan.js';
import {
  contentSources,
  isOfTrees,
  mergedTree,
  treesOf,
  type ContentSource,
} from '../image/tree-image.js';
import { inspectionOptions } from '../inspect/open-for-inspection.js';
import type { Remote } from '../registry/remote.js';
import { treeRoot, type OpenSource } from './tree-files.js';
import type { ImageFile } from './image-file.js';

export interface OpenFilesOptions {
  /** Opens images of registries. */
  readonly remote: Remote;
  readonly beside: Beside | null;
  /** Gets what people should know. */
  readonly tell: (note: string) => void;
}

/**
 * Opens an image, lets `use` look at its files, and closes it.
 * @param words a configuration, the name of an image, or blobs, bottom first
 * @throws OverlaybdError for the first thing that is broken or not supported
 */
export async function withFiles<T>(
  words: readonly string[],
  use: (root: ImageFile) => Promise<T>,
  { remote, beside, tell }: OpenFilesOptions,
): Promise<T> {
  const options = inspectionOptions(remote);
  try {
    const plan = await planImage(sourceOfWords(words).blobs, options.files, {
      effort: options.effort,
      remote: () => remote.images(),
      beside: beside ?? undefined,
    });
    const layers = await openStack(plan, options);
    for (const note of plan.notes) tell(note);
    if (!isOfTrees(layers)) throw notOfFiles(plan.name);
    return await use(rootOf(layers, plan, options));
  } finally {
    options.files.release();
  }
}

function rootOf(
  layers: readonly OpenedLayer[],
  { name, layer }: ImagePlan,
  options: StackOptions,
): ImageFile {
  const trees = treesOf(layers, name);
  const sources = contentSources(layers, trees);
  const isAlone = layer !== undefined;
  const tree = mergedTree(trees, isAlone);
  return treeRoot(tree, sourceOpener(sources, options), isAlone ? [layer] : undefined);
}

function sourceOpener(
  sources: readonly ContentSource[],
  { readers, effort }: StackOptions,
): OpenSource {
  return async (number) => {
    const { blob, around } = sources[number] as ContentSource;
    const { spec } = await blob.content(effort);
    return readers.source(around ? { ...around, of: spec } : spec);
  };
}

function notOfFiles(name: string): OverlaybdError {
  const message = `${name}: its layers are a disk with a file system, and not archives of files: look into it with overlaybd-nbd mount --fuse`;
  return new OverlaybdError('UNSUPPORTED', message);
}
