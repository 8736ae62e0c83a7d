// What resolving an image needs of the place where it is: a repository, or a layout. Types only.

import type { BlobRef } from '../blob/blob-ref.js';
import type { FetchedManifest, TargetName } from './manifest-source.js';
import type { Descriptor } from './manifest.js';
import type { LookAtLayer } from './overlaybd-layers.js';
import type { PlacedIndex } from './soci-index.js';

/** What names a manifest; its size is null if that is not known. */
export type ManifestName = Pick<Descriptor, 'digest' | 'mediaType'> & {
  readonly size: number | null;
};

/** Where one image is: a repository, or a layout. */
export interface ImagePlace {
  /** Of the image, for messages. */
  readonly name: string;
  /** @throws OverlaybdError if it cannot be read, or does not match its descriptor */
  manifest(descriptor: ManifestName): Promise<FetchedManifest>;
  /** Never rejects because of the registry. */
  referrers(digest: string): Promise<FoundReferrers>;
  blob(layer: Descriptor): BlobRef;
  /**
   * A SOCI index in a repository or a layout of its own.
   * @throws OverlaybdError BAD_ARGUMENT if the place has no network, and what `manifest` throws
   */
  index(reference: string): Promise<PlacedIndex>;
  /** A blob that no descriptor names. */
  target(digest: string): TargetName;
  readonly look: LookAtLayer;
  /**
   * The configuration of an image; null: it is not there.
   * @throws OverlaybdError if it cannot be read, or does not match its descriptor
   */
  config(descriptor: Descriptor): Promise<Uint8Array | null>;
}

/** What refers to a manifest. */
export interface FoundReferrers {
  readonly entries: readonly Descriptor[];
  /** Why there may be more, in the form "its referrers ..."; null if there are none. */
  readonly problem: string | null;
}
