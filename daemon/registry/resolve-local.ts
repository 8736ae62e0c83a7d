// From the name of an image on this machine to its blobs. Needs no network, and so no fetcher.

import { resolveArchive } from './docker-archive.js';
import { errorOf, withFacts, within } from '../lib/fault.js';
import type { GivenIndex, ResolvedImage } from './manifest-source.js';
import { resolveLayout } from './oci-layout.js';
import type { ArchiveReference, LayoutReference } from './reference.js';

/**
 * @param platform "linux/arm64/v8"; null: that of this machine
 * @param index the SOCI index that the image is opened with; null: the one that it has
 * @throws OverlaybdError BAD_ARGUMENT, NOT_FOUND, UNSUPPORTED, BAD_FORMAT, BAD_CHECKSUM, LIMIT, IO
 */
export function resolveLocal(
  reference: LayoutReference | ArchiveReference,
  platform: string | null,
  index: GivenIndex | null = null,
): Promise<ResolvedImage> {
  return resolveAny(reference, platform, index).catch((error: unknown) => {
    throw withFacts(error, { image: reference.name });
  });
}

function resolveAny(
  reference: LayoutReference | ArchiveReference,
  platform: string | null,
  index: GivenIndex | null,
): Promise<ResolvedImage> {
  if (reference.kind === 'oci') return resolveLayout(reference, platform, index);
  if (index === null || index.kind === 'none') return resolveArchive(reference);
  const place = within(reference.name, '--soci-index');
  return Promise.reject(
    errorOf('BAD_ARGUMENT', place, 'only for images of registries and layouts'),
  );
}
