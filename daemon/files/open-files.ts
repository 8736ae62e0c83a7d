// Opens an image to look at its files: with the opener of `serve`, and without a device.

import type { Beside } from '../image/plan/image-source.js';
import { OverlaybdError } from '../errors.js';
import { errorOf, within } from '../lib/fault.js';
import { sourceOfWords } from '../image/plan/image-source.js';
import {
  isOfTrees,
  openStack,
  wholeNotes,
  type OpenedLayer,
  type StackOptions,
} from '../image/stack/open-stack.js';
import { withSecondTry } from '../image/stack/fetched-again.js';
import { archiveNote } from '../image/stack/archive-note.js';
import { planImage, type ImagePlan } from '../image/plan/plan.js';
import { contentSources, mergedTree, showsWhiteouts, treesOf } from '../image/stack/tree-image.js';
import { inspectionOptions } from '../inspect/open-for-inspection.js';
import type { Progress } from '../lib/effort.js';
import type { Remote } from '../registry/remote.js';
import type { LayerTree } from '../tree/layer-tree.js';
import { treeRoot, type OpenSource } from './tree-files.js';
import type { ImageFile } from './image-file.js';
import type { OpenedDisk } from './opened-disk.js';

export interface OpenFilesOptions {
  /** Opens images of registries. */
  readonly remote: Remote;
  readonly beside: Beside | null;
  /** Gets what people should know. */
  readonly tell: (note: string) => void;
  /** Gets what was done with the image. */
  readonly tellDetail: (detail: string) => void;
  /** Told of layers that must be read as a whole. */
  readonly progress?: Progress;
  /** The number of the partition of a disk to look at; null: the whole disk. */
  readonly partition: number | null;
  /** Says why the files of a disk cannot be looked at, while the image is open. */
  readonly checkDisk: (disk: OpenedDisk) => Promise<void>;
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
  { remote, beside, tell, tellDetail, progress, partition, checkDisk, disk }: OpenFilesOptions,
): Promise<T> {
  const options = inspectionOptions(remote, progress);
  let name: string;
  try {
    const plan = await planImage(sourceOfWords(words).blobs, options.files, {
      effort: options.effort,
      remote: () => remote.images(),
      beside: beside ?? undefined,
    });
    name = plan.name;
    const {
      layered,
      disk: opened,
      details,
      notes,
    } = await withSecondTry(
      options.files,
      options.effort,
      (effort) => openStack(plan, { ...options, effort }),
      (layers) => filesOf(layers, plan, options, partition),
    );
    for (const detail of [...(plan.details ?? []), ...details]) tellDetail(detail);
    for (const note of [...plan.notes, ...notes]) tell(note);
    if (layered) return await use(layered);
    if (opened) {
      const root = await diskRoot(opened, partition, () => checkDisk(opened));
      if (root) return await use(root);
    }
  } finally {
    options.files.release();
  }
  return disk(name, use);
}

interface Found {
  readonly details: readonly string[];
  readonly notes: readonly string[];
  /** Of layers of files; null: the image is none. */
  readonly layered: ImageFile | null;
  /** Null: it is no disk, or none that can be read. */
  readonly disk: OpenedDisk | null;
}

/** @throws OverlaybdError BAD_ARGUMENT for a partition of what is no disk, and what merging and reading the layers throw */
async function filesOf(
  layers: readonly OpenedLayer[],
  plan: ImagePlan,
  options: StackOptions,
  partition: number | null,
): Promise<Found> {
  const { name } = plan;
  const details = wholeNotes(layers, name);
  const notes: string[] = [];
  if (isOfTrees(layers)) {
    if (partition !== null) {
      const why = 'the image is made of layers of files, and so it has no partitions';
      throw errorOf('BAD_ARGUMENT', within(name, '--partition'), why);
    }
    const trees = treesOf(layers, name);
    const archive = archiveNote(layers, trees);
    if (archive !== null) notes.push(archive);
    return { details, notes, layered: rootOf(layers, trees, plan, options), disk: null };
  }
  const { openedDisk } = await import('./opened-disk.js');
  return { details, notes, layered: null, disk: await openedDisk(layers, name) };
}

/**
 * The files of a disk that are shown without a program.
 * @param check throws if no program can show the disk
 * @returns null if one has to
 */
async function diskRoot(
  opened: OpenedDisk,
  partition: number | null,
  check: () => Promise<void>,
): Promise<ImageFile | null> {
  const { erofsRoot } = await import('./erofs-files.js');
  const disk = partition === null ? opened : await opened.partition(partition);
  const root = await erofsRoot(disk);
  if (root) return root;
  try {
    await check();
    return null;
  } catch (error) {
    const isMissing = error instanceof OverlaybdError && error.code === 'PROGRAM_MISSING';
    const names = isMissing ? await erofsRoot(disk, error) : null;
    if (!names) throw error;
    return names;
  }
}

function rootOf(
  layers: readonly OpenedLayer[],
  trees: readonly LayerTree[],
  { layer }: ImagePlan,
  options: StackOptions,
): ImageFile {
  const tree = mergedTree(trees, showsWhiteouts(layers, layer), options.effort);
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
    if (!source) throw missing ?? errorOf('BUG', {}, `no content source ${number}`);
    // Reads are within the bytes of files.
    const { blob, around } = source;
    const { spec } = await blob.content(effort);
    return readers.source(around ? { ...around, of: spec } : spec);
  };
}
