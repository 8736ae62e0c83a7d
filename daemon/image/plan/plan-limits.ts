// What an image may have at most, as far as its plan says it: layers, and bytes in registries.

import { registryRefOf, type BlobRef } from '../../blob/blob-ref.js';
import { MAX_BLOB_BYTES } from '../../blob/chunk-map.js';
import { MAX_LAYERS } from '../../config/image-config.js';
import { aboutOf, overLimit, type About } from '../../lib/fault.js';

/** @throws OverlaybdError LIMIT */
export function checkLayerCount(count: number, name: About, what = 'layers'): void {
  if (count > MAX_LAYERS) {
    throw overLimit(aboutOf(name), count, what, MAX_LAYERS);
  }
}

/**
 * The sizes are claims of a manifest or configuration, and memory is taken for them before a byte is fetched.
 * @throws OverlaybdError LIMIT
 */
export function checkRegistryBytes(lowers: readonly BlobRef[], name: About): void {
  let bytes = 0;
  for (const ref of lowers) bytes += registryRefOf(ref)?.size ?? 0;
  if (bytes <= MAX_BLOB_BYTES) return;
  throw overLimit(aboutOf(name), bytes, 'bytes of layers in registries', MAX_BLOB_BYTES);
}
