// From the manifest or index that a name stands for to the blobs of the image: platform, layers, and for an
// ordinary image the overlaybd image that refers to it. The same for registries and layouts.

import { keyOfRef, type BlobRef } from '../blob/blob-ref.js';
import { OverlaybdError, messageOf, type ErrorCode } from '../errors.js';
import { aboutOf, errorOf, type About } from '../lib/fault.js';
import { checkServedDigest } from './digest.js';
import type { FetchedManifest, GivenIndex, ResolvedImage, TargetName } from './manifest-source.js';
import {
  parseManifest,
  type Descriptor,
  type ImageIndex,
  type ImageManifest,
  type Platform,
} from './manifest.js';
import { isEncryptedType, isIndexType, isManifestType, OCI_MANIFEST } from './media-types.js';
import { overlaybdLayers, type LayersWithTargets } from './overlaybd-layers.js';
import type { ImagePlace } from './image-place.js';
import { nydusLayers } from './nydus-layers.js';
import { ordinaryImage, withDigests } from './ordinary-image.js';
import { chooseEntry } from './platform.js';
import { overlaybdReferrers, sociReferrers } from './referrers.js';
import { namedSociIndex, sociImage, type PlacedIndex, type PlainImage } from './soci-index.js';
import { tocsOf, type TocDigests } from './toc-annotations.js';
import { tocImage } from './toc-image.js';
import { layerPlace } from './layer-place.js';
import { manifestPlace } from './layer-place.js';
import { quoted, shortened } from '../lib/printable.js';

/** Indexes within indexes. */
const MAX_INDEX_DEPTH = 4;
/** Overlaybd images that refer to one manifest, of which an old one may be broken. */
const MAX_REFERRERS_TRIED = 4;
const MAX_SHOWN_LENGTH = 160;

/** A manifest, and how it was reached. */
interface Reached {
  readonly manifest: ImageManifest;
  readonly digest: string;
  /** From the first index down to the manifest. */
  readonly path: readonly { readonly digest: string; readonly subject: string | null }[];
}

/**
 * @param top what the name stands for; its bytes have its digest
 * @param given the SOCI index that it is opened with; null: the one that it has, if it has one
 * @throws OverlaybdError NOT_FOUND for a platform that is not there, UNSUPPORTED, BAD_FORMAT, BAD_CHECKSUM, LIMIT, and what
 *   `place` throws
 */
export async function resolveManifest(
  top: FetchedManifest,
  place: ImagePlace,
  platform: Platform,
  given: GivenIndex | null = null,
): Promise<ResolvedImage> {
  const reached = await descend(top, place, platform);
  if (given?.kind === 'tocs') return tocImage(reached.manifest, reached.digest, place);
  if (given && given.kind !== 'none') {
    return withIndex(reached, place, await indexOf(given, place), false);
  }
  const nydus = nydusOf(reached, place);
  if (nydus) return nydus;
  const layers = await layersOf(reached, place);
  if (layers) return imageOf(reached, layers, place, []);
  const files = filesOf(reached, place);
  if (files) {
    const hasPlain = (files.tocs?.size ?? 0) < reached.manifest.layers.length;
    return hasPlain ? withDigests(files, reached.manifest, place) : files;
  }
  const withSoci = given === null;
  const { image, problems } = withSoci ? await sociOf(reached, place) : NO_SOCI;
  return image ?? resolveReferrer(reached, place, platform, { withSoci, problems });
}

/** Goes down from an index to the manifest of the platform. */
async function descend(
  top: FetchedManifest,
  place: ImagePlace,
  platform: Platform,
): Promise<Reached> {
  const path: { digest: string; subject: string | null }[] = [];
  let at = top;
  for (let depth = 0; depth <= MAX_INDEX_DEPTH; depth++) {
    const name = path.length === 0 ? { image: place.name } : manifestPlace(place.name, at.digest);
    const parsed: ImageManifest | ImageIndex = parseManifest(at.bytes, at.mediaType, name);
    path.push({ digest: at.digest, subject: parsed.subject });
    if (parsed.kind === 'manifest') {
      refuseEncrypted(parsed, place.name);
      return { manifest: parsed, digest: at.digest, path };
    }
    const entry = chooseEntry(parsed.manifests, platform, name);
    checkServedDigest(entry.digest, name);
    if (!isManifestType(entry.mediaType) && !isIndexType(entry.mediaType)) {
      const got = quoted(shortened(entry.mediaType, MAX_SHOWN_LENGTH));
      const why = `the entry for the platform is not a manifest: its media type is ${got}`;
      throw errorOf('UNSUPPORTED', { ...name, got }, why);
    }
    at = await place.manifest(entry);
  }
  const expected = `at most ${MAX_INDEX_DEPTH}`;
  const why = `more than ${MAX_INDEX_DEPTH} indexes within each other`;
  throw errorOf('LIMIT', { image: place.name, digest: at.digest, expected }, why);
}

/** Their bytes look like any others: only the manifest says that a key is needed. */
function refuseEncrypted({ layers }: ImageManifest, name: string): void {
  const i = layers.findIndex((layer) => isEncryptedType(layer.mediaType));
  const layer = layers[i];
  if (!layer) return;
  const got = quoted(shortened(layer.mediaType, MAX_SHOWN_LENGTH));
  const where = { ...layerPlace(name, i, layers), digest: layer.digest, got };
  throw errorOf(
    'UNSUPPORTED',
    where,
    `it is encrypted: its media type is ${got}; decrypt the image`,
  );
}

function layersOf({ manifest }: Reached, place: ImagePlace): Promise<LayersWithTargets | null> {
  return overlaybdLayers(manifest.layers, place.name, place.look);
}

function imageOf(
  { digest }: Reached,
  { lowers, trace, notes, targets, byBytes }: LayersWithTargets,
  place: ImagePlace,
  before: readonly string[],
  ordinary: readonly Descriptor[] = [],
): ResolvedImage {
  // The bytes that say what such a layer is may be forged, and the archives of turboOCI layers are read as a whole anyway.
  const digests = new Map(
    lowers
      .filter((layer) => byBytes.has(layer) || targets.has(layer))
      .map((layer) => [keyOfRef(place.blob(layer)), { blob: layer.digest, plain: null }]),
  );
  return {
    name: place.name,
    digest,
    lowers: lowers.map((layer) => place.blob(layer)),
    ...(digests.size > 0 && { digests }),
    ...(targets.size > 0 && { targets: targetNames(targets, place, ordinary) }),
    trace: trace && place.blob(trace),
    notes: [...before, ...notes],
  };
}

/**
 * @param ordinary the layers of the image that was converted, if its manifest is known: they say the sizes
 * @throws OverlaybdError BAD_FORMAT for a layer that is there twice with different targets
 */
function targetNames(
  targets: ReadonlyMap<Descriptor, string>,
  place: ImagePlace,
  ordinary: readonly Descriptor[],
): Map<string, TargetName> {
  const digests = new Map<string, string>();
  for (const [layer, digest] of targets) {
    const key = keyOfRef(place.blob(layer));
    if ((digests.get(key) ?? digest) !== digest) {
      const facts = { image: place.name, digest: layer.digest };
      throw errorOf('BAD_FORMAT', facts, `the turboOCI layer ${layer.digest} has two targets`);
    }
    digests.set(key, digest);
  }
  const nameOf = (digest: string): TargetName => {
    const known = ordinary.find((layer) => layer.digest === digest);
    return known ? place.blob(known) : place.target(digest);
  };
  return new Map([...digests].map(([key, digest]) => [key, nameOf(digest)]));
}

/** A Nydus image: the layer with its bootstrap, and data blobs beside it. */
function nydusOf(
  { manifest: { layers }, digest }: Reached,
  place: ImagePlace,
): ResolvedImage | null {
  const { name } = place;
  const found = nydusLayers(layers, name);
  if (!found) return null;
  for (const [i, layer] of layers.entries()) {
    checkServedDigest(layer.digest, layerPlace(name, i, layers));
  }
  const { bootstrap, others } = found;
  const refs = new Map(others.map((each) => [each.digest.replace(/^.*:/, ''), place.blob(each)]));
  const dataBlobs = { folder: null, refs, bootstrap: bootstrap.digest };
  return { name, digest, lowers: [place.blob(bootstrap)], dataBlobs, trace: null, notes: [] };
}

/** An image whose manifest says what the tables of contents of its layers are: it is served as it is. */
function filesOf(
  { manifest: { layers }, digest }: Reached,
  place: ImagePlace,
): ResolvedImage | null {
  const { name } = place;
  const digests = tocsOf(layers, name);
  if (!digests) return null;
  const tocs = new Map<string, TocDigests>();
  const lowers = layers.map((layer, i) => {
    checkServedDigest(layer.digest, layerPlace(name, i, layers));
    const ref = place.blob(layer);
    const toc = digests[i];
    if (toc) tocs.set(keyOfRef(ref), { ...toc, layer: layer.digest });
    return ref;
  });
  return { name, digest, lowers, tocs, trace: null, notes: [] };
}

/** The image with a SOCI index. Its layers without a ztoc are read as a whole. */
async function withIndex(
  reached: Reached,
  place: ImagePlace,
  index: PlacedIndex,
  needsSubject: boolean,
): Promise<ResolvedImage> {
  const image = sociImage(plainOf(reached, place), index, needsSubject);
  const hasPlain = (image.ztocs?.size ?? 0) < image.lowers.length;
  return hasPlain ? withDigests(image, reached.manifest, place) : image;
}

interface TriedSoci {
  readonly image: ResolvedImage | null;
  readonly problems: readonly string[];
}

const NO_SOCI: TriedSoci = { image: null, problems: [] };

/** An image whose manifest names its SOCI index: with that, if it can be used. */
async function sociOf(reached: Reached, place: ImagePlace): Promise<TriedSoci> {
  let index: string | null = null;
  try {
    index = namedSociIndex(reached.manifest, place.name);
    if (index === null) return NO_SOCI;
    const found = await indexOf({ kind: 'digest', digest: index }, place);
    const again = { ...found, again: index };
    return { image: await withIndex(reached, place, again, false), problems: [] };
  } catch (error) {
    if (!(error instanceof OverlaybdError) || !OF_ONE_REFERRER.has(error.code)) throw error;
    const which = index === null ? 'its SOCI index' : `its SOCI index ${index}`;
    // A copy of an image need not have it.
    const why = error.code === 'NOT_FOUND' ? 'is not there' : `cannot be used: ${messageOf(error)}`;
    return { image: null, problems: [`${which} ${why}`] };
  }
}

async function indexOf(
  given: Exclude<GivenIndex, { kind: 'none' | 'tocs' }>,
  place: ImagePlace,
): Promise<PlacedIndex> {
  if (given.kind === 'reference') return place.index(given.reference);
  const { digest } = given;
  const mediaType = OCI_MANIFEST;
  const fetched =
    given.kind === 'bytes'
      ? { bytes: given.bytes, mediaType, digest }
      : await place.manifest({ digest, mediaType, size: null });
  return { fetched, blob: (descriptor) => place.blob(descriptor), again: null };
}

function plainOf({ manifest, digest }: Reached, place: ImagePlace): PlainImage {
  return { name: place.name, manifest, digest, blob: (descriptor) => place.blob(descriptor) };
}

/** Errors that make one referrer or SOCI index useless, but not the next one, nor the image. */
const OF_ONE_REFERRER: ReadonlySet<ErrorCode> = new Set([
  'NOT_FOUND',
  'UNSUPPORTED',
  'BAD_FORMAT',
  'BAD_CHECKSUM',
  'LIMIT',
]);

/** The overlaybd image that refers to the index, or else to the manifest, of an ordinary one. */
async function resolveReferrer(
  plain: Reached,
  place: ImagePlace,
  platform: Platform,
  { withSoci, problems: before }: { withSoci: boolean; problems: readonly string[] },
): Promise<ResolvedImage> {
  const problems = [...before];
  let indexes: readonly Descriptor[] = [];
  for (const { digest: subject } of plain.path) {
    const { entries, problem } = await place.referrers(subject);
    if (problem !== null && !problems.includes(problem)) problems.push(problem);
    if (withSoci && subject === plain.digest) indexes = sociReferrers(entries);
    for (const entry of overlaybdReferrers(entries).slice(0, MAX_REFERRERS_TRIED)) {
      try {
        return await openReferrer(entry, subject, plain, place, platform);
      } catch (error) {
        if (!(error instanceof OverlaybdError) || !OF_ONE_REFERRER.has(error.code)) throw error;
        problems.push(`its referrer ${entry.digest} cannot be used: ${messageOf(error)}`);
      }
    }
  }
  const image = await sociReferrer(plain, place, indexes, problems);
  return image ?? ordinaryImage(plain, place, problems);
}

/**
 * The image with the first SOCI index that can be used.
 * @param problems gets those of the others
 */
async function sociReferrer(
  plain: Reached,
  place: ImagePlace,
  indexes: readonly Descriptor[],
  problems: string[],
): Promise<ResolvedImage | null> {
  for (const entry of indexes.slice(0, MAX_REFERRERS_TRIED)) {
    try {
      checkServedDigest(entry.digest, place.name);
      const fetched = await place.manifest(entry);
      const blob = (descriptor: Descriptor): BlobRef => place.blob(descriptor);
      return await withIndex(plain, place, { fetched, blob, again: entry.digest }, true);
    } catch (error) {
      if (!(error instanceof OverlaybdError) || !OF_ONE_REFERRER.has(error.code)) throw error;
      problems.push(`its SOCI index ${entry.digest} cannot be used: ${messageOf(error)}`);
    }
  }
  return null;
}

async function openReferrer(
  entry: Descriptor,
  subject: string,
  plain: Reached,
  place: ImagePlace,
  platform: Platform,
): Promise<ResolvedImage> {
  checkServedDigest(entry.digest, place.name);
  const reached = await descend(await place.manifest(entry), place, platform);
  if (reached.path[0]?.subject !== subject) {
    const at = { ...manifestPlace(place.name, entry.digest), expected: subject };
    throw errorOf('BAD_FORMAT', at, `it does not refer to ${subject}`);
  }
  const layers = await layersOf(reached, place);
  if (!layers) {
    const at = manifestPlace(place.name, entry.digest);
    throw errorOf('UNSUPPORTED', at, 'it has ordinary layers');
  }
  const note = `${place.name}: an ordinary image; the overlaybd image ${entry.digest} refers to it and is used`;
  return imageOf(reached, layers, place, [note], plain.manifest.layers);
}

/**
 * @param length of the bytes that there are, `size` that of the descriptor
 * @throws OverlaybdError BAD_FORMAT
 */
export function checkSize(length: number, size: number, where: About): void {
  if (length === size) return;
  const facts = { ...aboutOf(where), expected: `${size}`, got: length };
  throw errorOf('BAD_FORMAT', facts, `${length} bytes, but its descriptor says ${size}`);
}
