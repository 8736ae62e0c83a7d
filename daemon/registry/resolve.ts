// From a reference to the blobs of an image in a registry.

import type { PullPolicy } from '../config/registry-settings.js';
import { OverlaybdError } from '../errors.js';
import type { KnownManifests, ManifestSource, ResolvedImage } from './manifest-source.js';
import type { RegistryReference } from './reference.js';

export type { KnownManifests, KnownTag, ManifestSource, ResolvedImage } from './manifest-source.js';

export interface ResolveOptions {
  /** "linux/arm64/v8"; null: that of this machine. */
  readonly platform: string | null;
  readonly pull: PullPolicy;
  /** Whether no network is used: as the policy "never", whatever the policy is. */
  readonly offline: boolean;
}

/**
 * Resolves a reference to overlaybd layers.
 * @throws OverlaybdError NOT_FOUND, UNSUPPORTED, BAD_FORMAT, LIMIT, AUTH, REMOTE
 */
export function resolveImage(
  reference: RegistryReference,
  _options: ResolveOptions,
  _source: ManifestSource,
  _known: KnownManifests,
): Promise<ResolvedImage> {
  return Promise.reject(new OverlaybdError('UNSUPPORTED', reference.name));
}
