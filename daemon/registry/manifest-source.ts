// Where manifests come from and where they are kept: what resolving an image needs of a registry, of a layout
// on disk, and of the cache. Types only.

import type { BlobRef, RegistryRef } from '../blob/blob-ref.js';
import type { TocDigests } from './toc-annotations.js';

/** A manifest or an index as it was received. */
export interface FetchedManifest {
  readonly bytes: Uint8Array;
  /** Content-Type without its parameters; '' if the source has none. */
  readonly mediaType: string;
  /** Of `bytes`, computed here and not what a header says: "sha256:HEX". */
  readonly digest: string;
}

export interface NotModified {
  readonly notModified: true;
}

/** A registry: the RegistryClient, or a stand-in for it. All calls reject with an OverlaybdError. */
export interface ManifestSource {
  /**
   * @param reference a tag, or a digest, which is checked
   * @param accept media types
   * @throws OverlaybdError NOT_FOUND if the registry says so, AUTH, REMOTE
   */
  manifest(
    host: string,
    repository: string,
    reference: string,
    accept: readonly string[],
  ): Promise<FetchedManifest>;
  /**
   * Asks whether a tag still names a digest.
   * @param options `signal` ends the request when the caller does not wait any longer
   */
  manifest(
    host: string,
    repository: string,
    reference: string,
    accept: readonly string[],
    options: { readonly known: string; readonly signal: AbortSignal },
  ): Promise<FetchedManifest | NotModified>;

  /**
   * The referrers of a manifest, by the API alone.
   * @returns an index, not checked; null if there are none or the registry does not have the API
   */
  referrers(host: string, repository: string, digest: string): Promise<Uint8Array | null>;

  /**
   * The first bytes of a blob, fewer if it is shorter. A source without it cannot tell what a layer without
   * annotations is.
   */
  readonly head?: ((ref: RegistryRef, length: number) => Promise<Uint8Array>) | undefined;

  /**
   * All bytes of a small blob, not checked. A source without it has manifests only.
   * @param fromOrigin no mirror is asked
   */
  readonly blob?: ((ref: RegistryRef, fromOrigin?: boolean) => Promise<Uint8Array>) | undefined;
}

/** What a tag named when it was asked for last. */
export interface KnownTag {
  readonly digest: string;
  /** Milliseconds since 1970 by the wall clock. */
  readonly checkedAt: number;
}

/** Manifests and tags that are kept on this machine. A failure to read is "not known", a failure to write is ignored. */
export interface KnownManifests {
  /** @returns bytes that have this digest */
  get(digest: string): Promise<Uint8Array | null>;
  put(digest: string, bytes: Uint8Array): Promise<void>;
  tag(host: string, repository: string, tag: string): Promise<KnownTag | null>;
  /** Sets `checkedAt` to now. */
  setTag(host: string, repository: string, tag: string, digest: string): Promise<void>;
}

/** The ztoc of a layer: where a SOCI index or the command line says that it is. */
export interface ZtocRef {
  readonly ref: BlobRef;
  /** What it must have: "sha256:HEX"; null: nothing says it. */
  readonly digest: string | null;
  /** The list of spans that the index wants to be fetched before they are read; absent: it has none. */
  readonly prefetch?: { readonly ref: BlobRef; readonly digest: string };
}

/** A blob of a registry of which no descriptor says the size. */
export interface UnsizedRef {
  readonly kind: 'unsized';
  readonly host: string;
  readonly repository: string;
  readonly digest: string;
}

export type TargetName = BlobRef | UnsizedRef;

/** The SOCI index that an image is opened with, as the operator or the record of a device names it. */
export type GivenIndex =
  /** No index: the image has tables of contents of the layers of another one. */
  | { readonly kind: 'tocs' }
  /** Without a SOCI index, even if the image has one. */
  | { readonly kind: 'none' }
  /** It is where the image is. */
  | { readonly kind: 'digest'; readonly digest: string }
  | { readonly kind: 'bytes'; readonly digest: string; readonly bytes: Uint8Array }
  /** In a repository or a layout, with its ztocs: "docker://HOST/REPOSITORY:TAG", "oci:/FOLDER:TAG". */
  | { readonly kind: 'reference'; readonly reference: string };

/** Where blobs are that a layer names by their SHA-256 in hexadecimal. */
export interface DataBlobs {
  /** An absolute path. */
  readonly folder: string | null;
  /** Those of the manifest, by their names. */
  readonly refs: ReadonlyMap<string, BlobRef>;
  /** The digest of the only layer, if its manifest says that it has a bootstrap in it. */
  readonly bootstrap: string | null;
}

/** What the bytes of a layer must be that is read as a whole: "sha256:HEX" each. */
export interface LayerDigests {
  /** Of its blob; null: nothing says it. */
  readonly blob: string | null;
  /** Of its plain bytes, those of the archive; null: nothing says it. */
  readonly plain: string | null;
}

/** An image by the name of its blobs. */
export interface ResolvedImage {
  /** As it was asked for, in full: "docker.io/library/redis:7". */
  readonly name: string;
  /** Of the manifest of the chosen platform: "sha256:HEX". */
  readonly digest: string;
  /** Bottom first; at least one. */
  readonly lowers: readonly BlobRef[];
  /**
   * For layers of files with tables of contents: what these must be, by the key of the layer's name (keyOfRef). A layer
   * that is not in it has no verified one. Absent for other images.
   */
  readonly tocs?: ReadonlyMap<string, TocDigests>;
  /** The ztocs of layers, by the key of the layer's name. Absent if no layer has one. */
  readonly ztocs?: ReadonlyMap<string, ZtocRef>;
  /**
   * The SOCI index that was found, by the name with which it is found again whatever is pushed meanwhile: as `--soci-index`
   * has it. "none": there was none, and an image may get one later. Absent: it was given, or does not matter.
   */
  readonly sociIndex?: string;
  /** By the key of the layer's name. Absent for images of which no layer is read as a whole. */
  readonly digests?: ReadonlyMap<string, LayerDigests>;
  /** Of an image of tables of contents: its blobs, by the digest of the layer that each is of. Absent for other images. */
  readonly tocBlobs?: ReadonlyMap<string, BlobRef>;
  /** Of a Nydus image. Absent for other images. */
  readonly dataBlobs?: DataBlobs;
  /** The targets of turboOCI layers, by the key of the layer's name (keyOfRef). Absent for other images. */
  readonly targets?: ReadonlyMap<string, TargetName>;
  /** The acceleration layer, which is not part of the disk. */
  readonly trace: BlobRef | null;
  /** Sentences for the operator. */
  readonly notes: readonly string[];
  /** What was done with the image, for the log of all that happens. Absent: nothing to tell. */
  readonly details?: readonly string[];
}
