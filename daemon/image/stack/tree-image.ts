// The disk of an image whose layers are trees of files: all trees merged and written as an EROFS file system, whose
// metadata is the lowest layer of the disk, and whose files are in the content sources of the layers above it.

import { createHash } from 'node:crypto';
import type { MemorySpec } from '../../blob/memory-source.js';
import { errorOf, mismatch } from '../../lib/fault.js';
import type { IsZeros } from '../../erofs/contents.js';
import { indexOf } from '../../erofs/device-index.js';
import { writeErofs, type WrittenErofs } from '../../erofs/write.js';
import { counted } from '../../lib/counted.js';
import type { TableEffort } from '../../lib/counted-columns.js';
import type { Effort } from '../../lib/effort.js';
import type { LsmtIndexData } from '../../lsmt/merged-index.js';
import { SECTOR, type LayerTree } from '../../tree/layer-tree.js';
import { layerAlone, mergeLayers } from '../../tree/merge.js';
import type { MergedTree } from '../../tree/merged-tree.js';
import { shownPath } from '../../tree/names.js';
import { archiveNote } from './archive-note.js';
import type { ContentSource } from './content-sources.js';
import type { OpenedLayer } from './open-stack.js';
import { placesOf } from '../chunks/piece-places.js';

/** To merge and to write an entry of a layer is as much work as to read this many entries of an index. */
const UNITS_AN_ENTRY = 32;

export interface TreeImage {
  readonly written: WrittenErofs;
  readonly index: LsmtIndexData;
  readonly metadata: MemorySpec;
  /** The content sources, in the order of the index: source i is layer i + 1 of the disk. See contentSources(). */
  readonly sources: readonly (ContentSource | null)[];
  /** The layer of the image that each of them belongs to. */
  readonly sourceLayers: readonly number[];
  /** What is worth a line in the log. */
  readonly notes: readonly string[];
}

/**
 * Merges and writes the layers of an image.
 * @param isAlone see {@link showsWhiteouts}
 * @param layers all of them, bottom first
 * @param uuidSeed what the image is made of
 * @throws OverlaybdError BAD_FORMAT, LIMIT
 */
export function treeImage(
  layers: readonly OpenedLayer[],
  name: string,
  uuidSeed: readonly string[],
  effort: Effort,
  isAlone = false,
): TreeImage {
  const trees = treesOf(layers, name);
  effort.spend(UNITS_AN_ENTRY * trees.reduce((sum, { count }) => sum + count, 0));
  const seeds = layers.flatMap((layer) => layer.seeds);
  const sources = contentSources(layers);
  const written = writeErofs(mergedTree(trees, isAlone, effort), {
    uuidSeed: [...uuidSeed, ...seeds],
    isZeros: zerosBetween(sources),
    effort,
  });
  const { metadata: memory, rows, deviceSize, dropped } = written;
  const index = indexOf(rows, deviceSize, name);
  const sourceLayers = trees.flatMap(({ sourceCount }, i) => Array<number>(sourceCount).fill(i));
  const notes = layers.flatMap(({ content, missing }) => [
    ...(content.kind === 'tree' ? content.notes : []),
    ...(missing ? [missing.message] : []),
  ]);
  const archive = archiveNote(layers, trees);
  if (archive !== null) notes.push(archive);
  if (dropped.first !== null) {
    const what = counted(dropped.count, 'extended attribute');
    notes.push(
      `${name}: ${what} left out, such as ${shownPath(dropped.first)}: EROFS cannot store them, or overlayfs would act on them`,
    );
  }
  return {
    written,
    index,
    metadata: {
      kind: 'memory',
      name: `${name} (metadata)`,
      memory,
      digest: createHash('sha256').update(new Uint8Array(memory)).digest('hex'),
    },
    sources,
    sourceLayers,
    notes,
  };
}

/** What lies between two pieces of a source, and between two objects, is zeros. */
function zerosBetween(sources: readonly (ContentSource | null)[]): IsZeros {
  const tables = sources.map((source) => (source?.around ? placesOf(source.around) : null));
  return (source, from, to) => {
    const table = tables[source];
    if (!table) return false;
    const next = table.find(from);
    return next === table.count || table.position(next) >= to;
  };
}

/**
 * Whether the tree of an image has its whiteouts: one layer of it was chosen, or its only layer is for an overlayfs.
 * @param chosen the number of the layer; absent: all layers are merged
 */
export function showsWhiteouts(
  layers: readonly OpenedLayer[],
  chosen: number | undefined,
): boolean {
  if (chosen !== undefined) return true;
  const [first] = layers;
  const content = layers.length === 1 ? first?.content : undefined;
  return content?.kind === 'tree' && content.isForOverlay === true;
}

/**
 * The tree of an image.
 * @param isAlone as of {@link treeImage}
 * @param effort announces the memory of columns
 * @throws OverlaybdError BAD_FORMAT, LIMIT
 */
export function mergedTree(
  trees: readonly LayerTree[],
  isAlone: boolean,
  effort: TableEffort,
): MergedTree {
  return isAlone ? layerAlone(trees[0] as LayerTree, effort) : mergeLayers(trees, effort);
}

/**
 * The trees of the layers of an image, bottom first.
 * @throws OverlaybdError BAD_FORMAT if one is another kind of layer, or its files are not in it
 */
export function treesOf(layers: readonly OpenedLayer[], name: string): LayerTree[] {
  return layers.map((layer) => treeOf(layer, name));
}

/**
 * The content sources of all layers, by the numbers that the merged tree gives them; null: its blob is missing. Of an
 * image that is served none is.
 */
export function contentSources(layers: readonly OpenedLayer[]): (ContentSource | null)[] {
  return layers.flatMap((layer) =>
    layer.sources.map((found, i) => {
      if (!found || layer.content.kind !== 'tree') return found;
      const filledTo = sectorsEnd(layer.content.tree.sourceEnd(i));
      return filledTo > sizeOfSource(layer, found) ? { ...found, filledTo } : found;
    }),
  );
}

function sectorsEnd(end: number): number {
  return Math.ceil(end / SECTOR) * SECTOR;
}

/** Plain bytes. */
function sizeOfSource({ blobs, inner }: OpenedLayer, { around, blob }: ContentSource): number {
  if (around) return around.table.size;
  // Other blobs have no wrappers.
  return blob === blobs[0] ? inner.source.size : blob.size;
}

/** @throws OverlaybdError BAD_FORMAT if it is another kind of layer, or its files are not in it */
function treeOf(layer: OpenedLayer, name: string): LayerTree {
  const { content, sources } = layer;
  const { source } = layer.inner;
  if (content.kind !== 'tree') {
    const why = 'it is not a layer of files, and other layers of the image are';
    throw errorOf('BAD_FORMAT', { blob: source.name, image: name }, why);
  }
  const { tree } = content;
  for (const [i, found] of sources.entries()) {
    if (!found) continue;
    const size = sizeOfSource(layer, found);
    const end = tree.sourceEnd(i);
    if (end <= size) continue;
    const facts = { blob: source.name, expected: `at least ${end} bytes`, got: size };
    throw mismatch('BAD_FORMAT', facts);
  }
  return tree;
}
