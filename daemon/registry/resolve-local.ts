// From the name of an image on this machine to its blobs. Needs no network, and so no fetcher.

import { resolveArchive } from './docker-archive.js';
import type { ResolvedImage } from './manifest-source.js';
import { resolveLayout } from './oci-layout.js';
import type { ArchiveReference, LayoutReference } from './reference.js';

/**
 * @param platform "linux/arm64/v8"; null: that of this machine
 * @throws OverlaybdError NOT_FOUND, UNSUPPORTED, BAD_FORMAT, BAD_CHECKSUM, LIMIT, IO
 */
export function resolveLocal(
  reference: LayoutReference | ArchiveReference,
  platform: string | null,
): Promise<ResolvedImage> {
  return reference.kind === 'oci' ? resolveLayout(reference, platform) : resolveArchive(reference);
}
