// What an image may have at most, as far as its plan says it: layers, and bytes in registries.

import { registryRefOf, type BlobRef } from '../../blob/blob-ref.js';
import { MAX_BLOB_BYTES } from '../../blob/chunk-map.js';
import { MAX_LAYERS } from '../../config/image-config.js';
import { OverlaybdError } from '../../errors.js';

/** @throws OverlaybdError LIMIT */
export function checkLayerCount(count: number, name: string, what = 'layers'): void {
  if (count > MAX_LAYERS) {
    throw new OverlaybdError('LIMIT', `${name}: ${count} ${what}, at most ${MAX_LAYERS}`);
  }
}

/**
 * The sizes are claims of a manifest or configuration, and memory is taken for them before a byte is fetched.
 * @throws OverlaybdError LIMIT
 */
export function checkRegistryBytes(lowers: readonly BlobRef[], name: string): void {
  let bytes = 0;
  for (const ref of lowers) bytes += registryRefOf(ref)?.size ?? 0;
  if (bytes <= MAX_BLOB_BYTES) return;
  const message = `${name}: its layers in registries have ${bytes} bytes, at most ${MAX_BLOB_BYTES}`;
  throw new OverlaybdError('LIMIT', message);
}
