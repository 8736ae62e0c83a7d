// The root of an image whose layers are archives, as the commands see it that look inside.
import type { Test } from 'tap';
import { treeRoot } from '../../daemon/files/tree-files.js';
import type { ImageFile } from '../../daemon/files/image-file.js';
import { contentSources, treesOf } from '../../daemon/image/stack/tree-image.js';
import { mergeLayers } from '../../daemon/tree/merge.js';
import { layersOf } from './tree-layers.js';
import type { TarFile } from './ustar.js';

export async function rootOf(t: Test, ...archives: readonly TarFile[][]): Promise<ImageFile> {
  const layers = await layersOf(t, ...archives);
  const trees = treesOf(layers, 'image');
  const sources = contentSources(layers);
  return treeRoot(mergeLayers(trees), (number) => {
    const layer = layers.find(({ blobs: [blob] }) => blob === sources[number]?.blob);
    if (!layer) throw new Error(`no source ${number}`);
    return Promise.resolve(layer.inner.source);
  });
}
