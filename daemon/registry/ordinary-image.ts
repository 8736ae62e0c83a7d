// An ordinary image: its layers are archives of files, and its configuration has the digests of their plain bytes.

import * as v from 'valibot';
import { keyOfRef } from '../blob/blob-ref.js';
import { parseWith } from '../config/parse.js';
import type { ErrorFacts } from '../errors.js';
import { errorOf, overLimit, within } from '../lib/fault.js';
import { counted } from '../lib/counted.js';
import { jsonObject } from '../lib/schema.js';
import { isSha256 } from '../lib/sha256.js';
import { checkServedDigest } from './digest.js';
import type { LayerDigests, ResolvedImage } from './manifest-source.js';
import { MAX_MANIFEST_SIZE, type ImageManifest } from './manifest.js';
import type { ImagePlace } from './image-place.js';
import { layerPlace } from './layer-place.js';

/** What has the digests of plain layers. Other artifacts have configurations of their own. */
const CONFIG_TYPES: readonly string[] = [
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.docker.container.image.v1+json',
];

const configSchema = v.pipe(
  jsonObject,
  v.object({
    rootfs: v.nullish(
      v.pipe(jsonObject, v.object({ diff_ids: v.nullish(v.array(v.string()), []) })),
      null,
    ),
  }),
);

/**
 * An image whose layers are served as they are.
 * @param problems why no other image is served in its place: sentences without their subject
 * @throws OverlaybdError UNSUPPORTED, BAD_FORMAT, BAD_CHECKSUM, LIMIT, and what `place` throws
 */
export async function ordinaryImage(
  { manifest, digest }: { readonly manifest: ImageManifest; readonly digest: string },
  place: ImagePlace,
  problems: readonly string[],
): Promise<ResolvedImage> {
  const { name } = place;
  const { layers } = manifest;
  if (layers.length === 0) {
    throw errorOf('UNSUPPORTED', { image: name, digest }, 'an image without layers');
  }
  const lowers = layers.map((layer, i) => {
    checkServedDigest(layer.digest, layerPlace(name, i, layers));
    return place.blob(layer);
  });
  const notes = [...new Set(problems.map((each) => `${name}: ${each}`))];
  const image: ResolvedImage = { name, digest, lowers, sociIndex: 'none', trace: null, notes };
  return withDigests(image, manifest, place);
}

/**
 * The image with what is known of its layers: for those that are read as a whole.
 * @throws OverlaybdError BAD_FORMAT, BAD_CHECKSUM, LIMIT, and what `place` throws
 */
export async function withDigests(
  image: ResolvedImage,
  { layers, config }: ImageManifest,
  place: ImagePlace,
): Promise<ResolvedImage> {
  const { digest } = config;
  const where = { ...within(place.name, `configuration ${digest}`), digest };
  const isKnown = CONFIG_TYPES.includes(config.mediaType) && isSha256(config.digest);
  if (isKnown && config.size > MAX_MANIFEST_SIZE) {
    throw overLimit(where, config.size, 'bytes', MAX_MANIFEST_SIZE);
  }
  const bytes = isKnown ? await place.config(config) : null;
  const diffIds = bytes ? diffIdsOf(bytes, layers.length, where) : [];
  const digests = new Map<string, LayerDigests>();
  for (const [i, layer] of layers.entries()) {
    digests.set(keyOfRef(place.blob(layer)), { blob: layer.digest, plain: diffIds[i] ?? null });
  }
  const note = `${place.name}: its configuration has no digests of its unpacked layers: they are not checked`;
  const notes = diffIds.length > 0 ? image.notes : [...image.notes, note];
  return { ...image, digests, notes };
}

/**
 * The digests of the plain bytes of layers.
 * @param where what has them, for messages
 * @returns bottom first; none if the configuration has none
 * @throws OverlaybdError BAD_FORMAT
 */
export function diffIdsOf(bytes: Uint8Array, layers: number, where: ErrorFacts): string[] {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  const { rootfs } = parseWith(configSchema, text, where, undefined, 'BAD_FORMAT');
  const diffIds = rootfs?.diff_ids ?? [];
  if (diffIds.length === 0) return [];
  if (diffIds.length !== layers) {
    const [got, expected] = [counted(diffIds.length, 'digest'), counted(layers, 'layer')];
    const place = { ...within(where, 'rootfs.diff_ids'), expected, got };
    throw errorOf('BAD_FORMAT', place, `${got} for ${expected}`);
  }
  for (const [i, diffId] of diffIds.entries())
    checkServedDigest(diffId, within(where, `layer ${i}`));
  return diffIds;
}
