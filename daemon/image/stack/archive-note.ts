// For people: a layer that looks like an archive of a whole image, which somebody took for a layer.

import { posix } from 'node:path';
import type { LayerTree } from '../../tree/layer-tree.js';
import type { OpenedLayer } from './open-stack.js';

/** More files are no such archive: it has some for each layer of an image. */
const MOST_FILES = 10_000;
/** The configuration of an image, or what an archive has of a layer. */
const IS_OF_DIGEST = /^[0-9a-f]{64}(?:\.json|\.tar|\/layer\.tar)$/;

/**
 * @param layers of the image, bottom first
 * @param trees theirs
 * @returns null if it is no such archive
 */
export function archiveNote(
  layers: readonly Pick<OpenedLayer, 'content' | 'inner'>[],
  [tree]: readonly Pick<LayerTree, 'count' | 'pathOf'>[],
): string | null {
  const [layer] = layers;
  if (layers.length !== 1 || layer?.content.kind !== 'tree' || !tree) return null;
  if (tree.count > MOST_FILES) return null;
  const paths = new Set(
    Array.from({ length: tree.count }, (_, i) => posix.normalize(tree.pathOf(i))),
  );
  const { name } = layer.inner.source;
  const form = formOf(paths, name, /^tar(?:,|$)/.test(layer.content.format));
  return form && `${name} is opened as one layer of files; it looks like ${form}`;
}

function formOf(paths: ReadonlySet<string>, name: string, isPlain: boolean): string | null {
  const isLayout = paths.has('oci-layout') && paths.has('index.json');
  const isSaved =
    isLayout || paths.has('repositories') || [...paths].some((path) => IS_OF_DIGEST.test(path));
  if (paths.has('manifest.json') && isSaved) {
    const form = isPlain ? `docker-archive:${name}` : 'decompress it, then docker-archive:FILE';
    return `an archive of docker save: for the image in it, ${form}`;
  }
  return isLayout ? 'an OCI archive: for the image in it, unpack it, then oci:DIR' : null;
}
