// From a reference to the blobs of an image in a registry.

import type { RegistryRef } from '../blob/blob-ref.js';
import type { PullPolicy } from '../config/registry-settings.js';
import { OverlaybdError, codeOf, messageOf } from '../errors.js';
import { errorOf, withFacts, within } from '../lib/fault.js';
import { BLOB_HEAD_SIZE, kindOfBlob, type BlobKind } from './blob-head.js';
import { sha256Of } from '../lib/sha256.js';
import { RepositoryManifests } from './known-manifests.js';
import type {
  FetchedManifest,
  GivenIndex,
  KnownManifests,
  ManifestSource,
  ResolvedImage,
} from './manifest-source.js';
import type { Descriptor } from './manifest.js';
import { OCI_INDEX } from './media-types.js';
import { platformOf } from './platform.js';
import { parseReference, type RegistryReference } from './reference.js';
import { fallbackTag, hasUsefulReferrer, parseReferrers } from './referrers.js';
import type { SilentHosts } from './silent-hosts.js';
import { layoutIndex } from './oci-layout.js';
import type { PlacedIndex } from './soci-index.js';
import type { FoundReferrers, ImagePlace } from './image-place.js';
import { checkSize, resolveManifest } from './resolve-manifest.js';
import { manifestPlace } from './layer-place.js';

export interface ResolveOptions {
  /** "linux/arm64/v8"; null: that of this machine. */
  readonly platform: string | null;
  /** "never" if no network may be used. */
  readonly pull: PullPolicy;
  /** How long an opening waits to hear whether a tag that is known has moved; 2 s by default. */
  readonly newerPatienceMs?: number;
  /** The SOCI index that the image is opened with; null: the one that it has. */
  readonly index?: GivenIndex | null;
  /** Hosts that gave no answer a moment ago, of all openings. */
  readonly silent?: SilentHosts;
}

/**
 * Resolves a reference to overlaybd layers. Requests one after the other: the manifest or index, the manifest
 * of an index; of an ordinary image its referrers, and those manifests.
 * @throws OverlaybdError NOT_FOUND, UNSUPPORTED, BAD_FORMAT, BAD_CHECKSUM, LIMIT, AUTH, REMOTE
 */
export function resolveImage(
  reference: RegistryReference,
  options: ResolveOptions,
  source: ManifestSource,
  known: KnownManifests,
): Promise<ResolvedImage> {
  return resolveAll(reference, options, source, known).catch((error: unknown) => {
    const { name: image, host } = reference;
    throw withFacts(error, { image, host });
  });
}

async function resolveAll(
  reference: RegistryReference,
  options: ResolveOptions,
  source: ManifestSource,
  known: KnownManifests,
): Promise<ResolvedImage> {
  const platform = platformOf(options.platform);
  const manifests = new RepositoryManifests(reference, options.pull, source, known, {
    patienceMs: options.newerPatienceMs,
    silent: options.silent,
  });
  const place = placeOf(reference, options.pull, source, manifests, (name) =>
    indexElsewhere(name, options, source, known),
  );
  const top = await topOf(reference, manifests);
  const image = await resolveManifest(top, place, platform, options.index).catch(
    (error: unknown) => {
      const { before } = manifests;
      if (!before || !isOfNetwork(error)) throw error;
      // The registry failed after the tag and before all of the image was there.
      manifests.useKnown(reference.name, before.digest, messageOf(error));
      return resolveManifest(before, place, platform, options.index);
    },
  );
  await manifests.keepTags();
  return { ...image, notes: [...manifests.notes, ...image.notes] };
}

/** A SOCI index in another repository than its image, or in a layout. Its ztocs are there, too. */
async function indexElsewhere(
  name: string,
  { pull, newerPatienceMs, silent }: ResolveOptions,
  source: ManifestSource,
  known: KnownManifests,
): Promise<PlacedIndex> {
  const reference = parseReference(name);
  if (reference.kind === 'oci') return layoutIndex(reference);
  if (reference.kind !== 'registry') {
    throw errorOf('BAD_ARGUMENT', name, 'not the name of a SOCI index in a registry or a layout');
  }
  const waiting = { patienceMs: newerPatienceMs, silent };
  const manifests = new RepositoryManifests(reference, pull, source, known, waiting);
  const fetched = await topOf(reference, manifests);
  await manifests.keepTags();
  const { host, repository } = reference;
  return {
    fetched,
    blob: ({ digest, size }) => ({ kind: 'registry', host, repository, digest, size }),
    again: `docker://${host}/${repository}@${fetched.digest}`,
  };
}

function isOfNetwork(error: unknown): boolean {
  return error instanceof OverlaybdError && (error.code === 'REMOTE' || error.code === 'AUTH');
}

function topOf(
  { name, tag, digest }: RegistryReference,
  manifests: RepositoryManifests,
): Promise<FetchedManifest> {
  if (digest !== null) return manifests.byDigest(digest, '', name);
  return manifests.byTag(tag ?? 'latest', name);
}

function placeOf(
  { name, host, repository }: RegistryReference,
  pull: PullPolicy,
  source: ManifestSource,
  manifests: RepositoryManifests,
  index: ImagePlace['index'],
): ImagePlace {
  const blob = ({ digest, size }: Descriptor): RegistryRef => {
    return { kind: 'registry', host, repository, digest, size };
  };
  return {
    name,
    blob,
    index,
    manifest: async ({ digest, mediaType, size }) => {
      const where = manifestPlace(name, digest);
      const found = await manifests.byDigest(digest, mediaType, where);
      if (size !== null) checkSize(found.bytes.length, size, where);
      return found;
    },
    referrers: (digest) => findReferrers(digest, name, pull, manifests),
    target: (digest) => ({ kind: 'unsized', host, repository, digest }),
    config: (descriptor) =>
      manifests.blob(
        descriptor.digest,
        { ...within(name, `configuration ${descriptor.digest}`), digest: descriptor.digest },
        async (fromOrigin) => (await source.blob?.(blob(descriptor), fromOrigin)) ?? null,
      ),
    look: source.head ? (layer) => lookAt(source, manifests, blob(layer), name) : null,
  };
}

/** Bytes of a trace layer, which is a list of chunks, at most. */
const MAX_TRACE_LAYER = 8 << 20;

/**
 * What the first bytes of a layer say. They may be forged: what is part of the disk is compared when it is opened. A trace is not, and is
 * left out of the disk: so it is compared here, and kept, since its image needs it whenever it is opened.
 */
async function lookAt(
  source: ManifestSource,
  manifests: RepositoryManifests,
  ref: RegistryRef,
  name: string,
): Promise<BlobKind> {
  const { digest } = ref;
  const known = await manifests.knownBlob(digest);
  if (known) return kindOfBlob(known, ref.size);
  const about = { ...within(name, `layer ${digest}`), digest };
  const length = Math.min(ref.size, BLOB_HEAD_SIZE);
  // They are bytes of a layer: the source asks for them also with `--pull never`, as reads do, and only `--offline` keeps it from that.
  const head = (await source.head?.(ref, length)) ?? Buffer.alloc(0);
  const kind = kindOfBlob(head, ref.size);
  // Whatever it is instead, its opening finds it out.
  if (kind !== 'trace') return kind;
  if (ref.size > MAX_TRACE_LAYER) return 'data';
  const fetch = async (fromOrigin: boolean): Promise<Uint8Array | null> =>
    (await source.blob?.(ref, fromOrigin)) ?? null;
  try {
    const bytes = await manifests.blob(digest, about, fetch);
    return bytes ? kindOfBlob(bytes, ref.size) : 'data';
  } catch (error) {
    if (codeOf(error) === 'BAD_CHECKSUM') return 'data';
    throw error;
  }
}

/** Asks the API, then the fallback tag. */
async function findReferrers(
  digest: string,
  name: string,
  pull: PullPolicy,
  manifests: RepositoryManifests,
): Promise<FoundReferrers> {
  const tag = fallbackTag(digest);
  try {
    const known = pull === 'always' ? null : await manifests.knownTag(tag);
    if (known && manifests.prefersKnown) return entriesOf(known.bytes, name);
    if (pull === 'never') {
      return { entries: [], problem: 'its referrers are not known, and the network is not used' };
    }
    const bytes = await asked(() => manifests.referrersByApi(digest, known !== null));
    const found = bytes && parseReferrers(bytes, name);
    // A registry may have the API and the tag of an older client.
    if (bytes && found && hasUsefulReferrer(found)) {
      await manifests.remember(tag, bytes, sha256Of(bytes));
      return { entries: found, problem: null };
    }
    const none = sha256Of(NO_REFERRERS);
    return entriesOf((await manifests.byTag(tag, name, none)).bytes, name);
  } catch (error) {
    if (!(error instanceof OverlaybdError)) throw error;
    if (error.code === 'NOT_FOUND') {
      // So that the next opening needs no registry for it.
      await manifests.remember(tag, NO_REFERRERS, sha256Of(NO_REFERRERS));
      return { entries: [], problem: null };
    }
    return { entries: [], problem: `its referrers cannot be asked for: ${messageOf(error)}` };
  }
}

/** An index without entries, instead of one that is not there. */
const NO_REFERRERS = Buffer.from(
  JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] }),
);

function entriesOf(bytes: Uint8Array, name: string): FoundReferrers {
  return { entries: parseReferrers(bytes, name) ?? [], problem: null };
}

/** Registries answer anything to an API that they do not have: then there is the tag. */
async function asked(ask: () => Promise<Uint8Array | null>): Promise<Uint8Array | null> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof OverlaybdError) return null;
    throw error;
  }
}
