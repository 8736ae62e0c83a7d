// What a SOCI index says about an image: which of its layers have a ztoc. Pure.

import { keyOfRef, type BlobRef } from '../blob/blob-ref.js';
import type { ErrorFacts } from '../errors.js';
import { errorOf, mismatch, within } from '../lib/fault.js';
import { counted } from '../lib/counted.js';
import { quoted, shortened } from '../lib/printable.js';
import { checkServedDigest } from './digest.js';
import { isSha256 } from '../lib/sha256.js';
import type { FetchedManifest, ResolvedImage, ZtocRef } from './manifest-source.js';
import { parseManifest, type Descriptor, type ImageManifest } from './manifest.js';
import { PREFETCH_TYPE, SOCI_ANNOTATION, SOCI_ARTIFACTS, ZTOC_TYPE } from './media-types.js';
import { layerPlace } from './layer-place.js';

const MAX_SHOWN_LENGTH = 160;

/** An ordinary image, and how its blobs are named. */
export interface PlainImage {
  readonly name: string;
  readonly manifest: ImageManifest;
  readonly digest: string;
  blob(descriptor: Descriptor): BlobRef;
}

/**
 * The digest of the SOCI index that a manifest names; null if it names none.
 * @param name of the image, for messages
 * @throws OverlaybdError BAD_FORMAT
 */
export function namedSociIndex({ annotations }: ImageManifest, name: string): string | null {
  const digest = annotations.get(SOCI_ANNOTATION.index) ?? null;
  if (digest === null || isSha256(digest)) return digest;
  const got = quoted(shortened(digest, MAX_SHOWN_LENGTH));
  const place = within(name, `its annotation ${SOCI_ANNOTATION.index}`);
  throw mismatch('BAD_FORMAT', { ...place, expected: '"sha256:" and 64 digits', got });
}

/** An index, and how its blobs are named. */
export interface PlacedIndex {
  readonly fetched: FetchedManifest;
  blob(descriptor: Descriptor): BlobRef;
  /** What finds it again; null: it was given, and need not be found. */
  readonly again: string | null;
}

/**
 * An image with the ztocs of an index.
 * @param needsSubject whether the index must refer to the image: nothing else says that it belongs to it
 * @throws OverlaybdError UNSUPPORTED, BAD_FORMAT, LIMIT
 */
export function sociImage(
  image: PlainImage,
  placed: PlacedIndex,
  needsSubject: boolean,
): ResolvedImage {
  const { name, digest, manifest } = image;
  const { fetched, again } = placed;
  const section = `SOCI index ${fetched.digest}`;
  const where = { ...within(name, section), digest: fetched.digest };
  const index = parseManifest(fetched.bytes, fetched.mediaType, where);
  const type =
    index.kind === 'manifest' ? (index.artifactType ?? index.config.mediaType) : 'an index';
  if (index.kind !== 'manifest' || !SOCI_ARTIFACTS.includes(type)) {
    const got = quoted(shortened(type, MAX_SHOWN_LENGTH));
    throw errorOf('UNSUPPORTED', { ...where, got }, `not a SOCI index: ${got}`);
  }
  if (needsSubject && index.subject !== digest) {
    const facts = { ...where, expected: digest };
    throw errorOf('BAD_FORMAT', facts, `it does not refer to ${digest}`);
  }
  const byLayer = partsByLayer(index, ZTOC_TYPE, where);
  const hints = partsByLayer(index, PREFETCH_TYPE, where);
  const ztocs = new Map<string, ZtocRef>();
  let count = 0;
  const lowers = manifest.layers.map((layer, i) => {
    checkServedDigest(layer.digest, layerPlace(name, i, manifest.layers));
    const ref = image.blob(layer);
    const ztoc = byLayer.get(layer.digest);
    if (ztoc) {
      count++;
      const hint = hints.get(layer.digest);
      const prefetch = hint && { ref: placed.blob(hint), digest: hint.digest };
      const found = { ref: placed.blob(ztoc), digest: ztoc.digest };
      ztocs.set(keyOfRef(ref), { ...found, ...(prefetch && { prefetch }) });
    }
    return ref;
  });
  if (count === 0) {
    throw errorOf('BAD_FORMAT', where, 'it has no ztoc of a layer of the image');
  }
  const used = `${name}: an ordinary image; the SOCI index ${fetched.digest} is used: ${count} of ${counted(lowers.length, 'layer')} with a ztoc`;
  const found = again === null ? {} : { sociIndex: again };
  return { name, digest, lowers, ztocs, ...found, trace: null, notes: [], details: [used] };
}

/** The first of this type for each layer, by the digests of layers. */
function partsByLayer(
  { layers }: ImageManifest,
  mediaType: string,
  where: ErrorFacts,
): Map<string, Descriptor> {
  const parts = new Map<string, Descriptor>();
  for (const [i, part] of layers.entries()) {
    const layer = part.annotations.get(SOCI_ANNOTATION.layer);
    if (part.mediaType !== mediaType || layer === undefined || parts.has(layer)) continue;
    checkServedDigest(part.digest, within(where, `part ${i}`));
    parts.set(layer, part);
  }
  return parts;
}
