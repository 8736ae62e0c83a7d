// Tables of contents that are not in their layers: an image beside that of the layers has them. The tool that makes both pushes it
// to the image's tag with a suffix, and nothing else leads to it.

import type { BlobRef } from '../blob/blob-ref.js';
import { errorOf } from '../lib/fault.js';
import { checkServedDigest } from './digest.js';
import type { ImagePlace } from './image-place.js';
import type { ResolvedImage } from './manifest-source.js';
import type { ImageManifest } from './manifest.js';
import { parseReference } from './reference.js';
import { layerPlace } from './layer-place.js';

const SUFFIX = '-esgztoc';
/** Of a layer of such an image: the digest of the layer that its table of contents is of. */
const LAYER_DIGEST = 'containerd.io/snapshot/stargz/layer.digest';

/** The name of the image that has the tables of contents of another one; null: that one has no tag. */
export function tocImageOf(image: string): string | null {
  const reference = parseReference(image);
  switch (reference.kind) {
    case 'registry': {
      const { host, repository, tag, digest } = reference;
      const known = tag ?? (digest === null ? 'latest' : null);
      return known === null ? null : `docker://${host}/${repository}:${known}${SUFFIX}`;
    }
    case 'oci':
      return reference.tag === null ? null : `oci:${reference.folder}:${reference.tag}${SUFFIX}`;
    case 'docker-archive':
      return null;
  }
}

/** @throws OverlaybdError BAD_FORMAT for an image without such layers, UNSUPPORTED */
export function tocImage(
  { layers }: ImageManifest,
  digest: string,
  place: ImagePlace,
): ResolvedImage {
  const { name } = place;
  const tocBlobs = new Map<string, BlobRef>();
  for (const [i, layer] of layers.entries()) {
    const of = layer.annotations.get(LAYER_DIGEST);
    if (of === undefined) continue;
    checkServedDigest(layer.digest, layerPlace(name, i, layers));
    tocBlobs.set(of, place.blob(layer));
  }
  const lowers = [...tocBlobs.values()];
  if (lowers.length > 0) return { name, digest, lowers, tocBlobs, trace: null, notes: [] };
  const why = `no layer with a table of contents: none has the annotation ${LAYER_DIGEST}`;
  throw errorOf('BAD_FORMAT', { image: name, digest }, why);
}
