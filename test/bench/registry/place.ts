// The image of the benchmark in an OCI layout, for the front: as an overlaybd image, and its raw disk as one blob.
import { linkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ImageLayout } from '../../support/registry/image-layout.js';
import { fileDigest } from '../../support/registry/image-place.js';
import { pushImage } from '../../support/registry/push-image.js';
import type { ImageForms } from '../forms.js';

/** Its manifest is what the tag names. */
export const DIRECT_TAG = 'app';
/** The tag names an index, as of an image for several platforms. */
export const INDEX_TAG = 'index';

export interface Place {
  /** The folder of the layout. */
  readonly layout: string;
  /** The image: one layer, LZ4. */
  readonly layer: string;
  readonly layerDigest: string;
  /** Bytes. */
  readonly layerSize: number;
  readonly rawImage: string;
  readonly rawDigest: string;
}

/** Blobs are hard links: an image of a gigabyte is not copied. */
class LinkedLayout extends ImageLayout {
  override putFile(path: string, digest: string): Promise<void> {
    const blob = join(this.folder, 'blobs', ...digest.split(':'));
    rmSync(blob, { force: true });
    linkSync(path, blob);
    return Promise.resolve();
  }
}

export async function makePlace(forms: ImageForms): Promise<Place> {
  const [rawImage = ''] = forms.form('raw').files;
  const { files, size: layerSize } = forms.form('lz4');
  const [layer = ''] = files;
  const layout = join(forms.folder, 'layout');
  rmSync(layout, { recursive: true, force: true });
  const linked = new LinkedLayout(layout);
  const { layers } = await pushImage(linked, { blobs: [layer], tag: DIRECT_TAG });
  const platforms = [
    { os: 'linux', architecture: process.arch === 'x64' ? 'amd64' : process.arch },
  ];
  await pushImage(linked, { blobs: [layer], tag: INDEX_TAG, platforms });
  const raw = await fileDigest(rawImage);
  await linked.putFile(rawImage, raw.digest);
  const layerDigest = layers[0]?.digest ?? '';
  return { layout, layer, layerDigest, layerSize, rawImage, rawDigest: raw.digest };
}
