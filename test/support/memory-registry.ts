// A registry in memory, what is known of it, and the images in it: for tests of what asks a registry. No HTTP.
import { createHash } from 'node:crypto';
import { OverlaybdError } from '../../daemon/errors.js';
import type { RegistryRef } from '../../daemon/blob/blob-ref.js';
import type {
  FetchedManifest,
  KnownManifests,
  KnownTag,
  ManifestSource,
  NotModified,
} from '../../daemon/registry/manifest-source.js';

export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
export const OCI_LAYER = 'application/vnd.oci.image.layer.v1.tar';
export const DOCKER_LAYER = 'application/vnd.docker.image.rootfs.diff.tar';
export const OCI_GZIP_LAYER = `${OCI_LAYER}+gzip`;
export const NATIVE = 'application/vnd.containerd.overlaybd.native.v1+json';
const PREFIX = 'containerd.io/snapshot/overlaybd/';

export type Json = Record<string, unknown>;

export function sha256(bytes: Uint8Array | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

export function descriptor(mediaType: string, bytes: Uint8Array | string, more: Json = {}): Json {
  return { mediaType, digest: sha256(bytes), size: Buffer.byteLength(bytes), ...more };
}

/** The descriptor of a blob that is nowhere. @param keys of annotations, without their prefix */
export function overlaybdLayer(content: string, keys: Json = {}, mediaType = OCI_LAYER): Json {
  const plain = descriptor(mediaType, content);
  const all = { 'blob-digest': plain['digest'], 'blob-size': String(plain['size']), ...keys };
  const annotations = Object.fromEntries(
    Object.entries(all).map(([key, value]) => [PREFIX + key, value]),
  );
  return { ...plain, annotations };
}

export function imageManifest(layers: Json[], more: Json = {}): Json {
  return {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: descriptor('application/vnd.oci.image.config.v1+json', '{}'),
    layers,
    ...more,
  };
}

export function imageIndex(manifests: Json[], more: Json = {}): Json {
  return { schemaVersion: 2, mediaType: OCI_INDEX, manifests, ...more };
}

export function encode(value: Json): Buffer {
  return Buffer.from(JSON.stringify(value));
}

/** One repository. */
export class MemoryRegistry implements ManifestSource {
  /** What was asked for, in order: "manifest latest", "manifest latest if not sha256:..", "referrers sha256:..". */
  readonly requests: string[] = [];
  /** The repositories that were asked for manifests. */
  readonly places = new Set<string>();
  /** What requests end in, instead of an answer. */
  failure: (() => Promise<never>) | null = null;
  /** References whose requests fail. */
  failing = new Set<string>();
  /** The first bytes of blobs by digest; null: this source cannot look at blobs. */
  blobs: Map<string, Uint8Array> | null = null;
  /** Blobs whose first bytes this machine has. */
  readonly kept = new Set<string>();
  /** What a mirror says blobs are, by digest: not the registry itself. */
  readonly mirrored = new Map<string, Uint8Array>();
  /** By the digest of the subject; null: the registry has no such API. */
  referrersApi: Map<string, Uint8Array> | null = null;
  readonly #manifests = new Map<string, { bytes: Uint8Array; mediaType: string }>();
  readonly #tags = new Map<string, string>();

  /** @returns the descriptor */
  put(manifest: Json, tag: string | null = null, more: Json = {}): Json {
    return this.putBytes(encode(manifest), String(manifest['mediaType']), tag, more);
  }

  putBytes(bytes: Buffer, mediaType: string, tag: string | null = null, more: Json = {}): Json {
    const digest = sha256(bytes);
    this.#manifests.set(digest, { bytes, mediaType });
    if (tag !== null) this.#tags.set(tag, digest);
    return descriptor(mediaType, bytes, more);
  }

  /** Answers other bytes for a digest. */
  corrupt(digest: string, bytes: Uint8Array): void {
    this.#manifests.set(digest, { bytes, mediaType: OCI_MANIFEST });
  }

  manifest(
    host: string,
    repository: string,
    reference: string,
    accept: readonly string[],
  ): Promise<FetchedManifest>;
  manifest(
    host: string,
    repository: string,
    reference: string,
    accept: readonly string[],
    options: { known: string; signal: AbortSignal },
  ): Promise<FetchedManifest | NotModified>;
  async manifest(
    host: string,
    repository: string,
    reference: string,
    accept: readonly string[],
    options?: { known: string; signal: AbortSignal },
  ): Promise<FetchedManifest | NotModified> {
    this.places.add(`${host}/${repository}`);
    this.requests.push(`manifest ${reference}${options ? ` if not ${options.known}` : ''}`);
    if (this.failure) return this.failure();
    if (this.failing.has(reference)) throw new OverlaybdError('REMOTE', `${host}: reset`);
    const digest = this.#tags.get(reference) ?? reference;
    const found = this.#manifests.get(digest);
    if (!found || !accept.includes(found.mediaType)) {
      throw new OverlaybdError('NOT_FOUND', `${host}: no manifest ${reference}`);
    }
    if (options?.known === digest) return { notModified: true };
    return { ...found, digest };
  }

  async referrers(_host: string, _repository: string, digest: string): Promise<Uint8Array | null> {
    this.requests.push(`referrers ${digest}`);
    if (this.failure) return this.failure();
    return this.referrersApi?.get(digest) ?? null;
  }

  get blob(): ManifestSource['blob'] {
    const { blobs } = this;
    if (!blobs) return undefined;
    return async (ref: RegistryRef, fromOrigin = false) => {
      this.requests.push(`${fromOrigin ? 'blob of the origin' : 'blob'} ${ref.digest}`);
      if (this.failure) return this.failure();
      const lie = fromOrigin ? undefined : this.mirrored.get(ref.digest);
      return lie ?? blobs.get(ref.digest) ?? Buffer.alloc(ref.size);
    };
  }

  get head(): ManifestSource['head'] {
    const { blobs } = this;
    if (!blobs) return undefined;
    return (ref: RegistryRef, length: number) => {
      const bytes = blobs.get(ref.digest)?.subarray(0, length) ?? Buffer.alloc(length);
      if (this.kept.has(ref.digest)) return Promise.resolve(bytes);
      this.requests.push(`head ${ref.digest}`);
      if (this.failure) return this.failure();
      return Promise.resolve(bytes);
    };
  }
}

export class MemoryKnown implements KnownManifests {
  readonly manifests = new Map<string, Uint8Array>();
  readonly tags = new Map<string, KnownTag>();

  get(digest: string): Promise<Uint8Array | null> {
    return Promise.resolve(this.manifests.get(digest) ?? null);
  }

  put(digest: string, bytes: Uint8Array): Promise<void> {
    this.manifests.set(digest, bytes);
    return Promise.resolve();
  }

  tag(host: string, repository: string, tag: string): Promise<KnownTag | null> {
    return Promise.resolve(this.tags.get(`${host}/${repository}:${tag}`) ?? null);
  }

  setTag(host: string, repository: string, tag: string, digest: string): Promise<void> {
    this.tags.set(`${host}/${repository}:${tag}`, { digest, checkedAt: Date.now() });
    return Promise.resolve();
  }
}
