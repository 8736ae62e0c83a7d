// From the name of an image, wherever it is, to its blobs.

import type { ResolvedImage, KnownManifests, ManifestSource } from './manifest-source.js';
import { resolveArchive } from './docker-archive.js';
import { resolveLayout } from './oci-layout.js';
import { parseReference, type ArchiveReference, type LayoutReference } from './reference.js';
import { resolveImage, type ResolveOptions } from './resolve.js';

/**
 * @param name "docker.io/library/redis:7", "docker://redis", "oci:DIR:TAG", "docker-archive:FILE"
 * @throws OverlaybdError BAD_ARGUMENT, and what {@link resolveImage} and {@link resolveLocal} throw
 */
export function resolveName(
  name: string,
  options: ResolveOptions,
  source: ManifestSource,
  known: KnownManifests,
): Promise<ResolvedImage> {
  const reference = parseReference(name);
  if (reference.kind !== 'registry') return resolveLocal(reference, options.platform);
  return resolveImage(reference, options, source, known);
}

/**
 * What is on this machine. Needs no fetcher.
 * @param platform "linux/arm64/v8"; null: that of this machine
 * @throws OverlaybdError NOT_FOUND, UNSUPPORTED, BAD_FORMAT, BAD_CHECKSUM, LIMIT, IO
 */
export function resolveLocal(
  reference: LayoutReference | ArchiveReference,
  platform: string | null,
): Promise<ResolvedImage> {
  return reference.kind === 'oci' ? resolveLayout(reference, platform) : resolveArchive(reference);
}
