// What a manifest says about the tables of contents of its layers: by this, layers of files can be verified before all of
// their bytes are here.

import type { ErrorFacts } from '../errors.js';
import { mismatch, within } from '../lib/fault.js';
import { quoted, shortened } from '../lib/printable.js';
import { isSha256 } from '../lib/sha256.js';
import type { Descriptor } from './manifest.js';
import { layerPlace } from './layer-place.js';

/** The digests that a table of contents must have, as far as they are known. */
export interface TocDigests {
  /** Of the JSON text. */
  readonly json: string | null;
  /** Of the compressed manifest of zstd:chunked. */
  readonly manifest: string | null;
  /** The digest of the layer, by which another image may have its table of contents; absent: it is a file. */
  readonly layer?: string;
}

const JSON_DIGEST = 'containerd.io/snapshot/stargz/toc.digest';
const MANIFEST_DIGESTS = [
  'io.github.containers.zstd-chunked.manifest-checksum',
  'io.containers.zstd-chunked.manifest-checksum',
];
const MAX_SHOWN_LENGTH = 160;

/**
 * What the annotations of a layer say.
 * @param where for messages
 * @returns null if they say nothing
 * @throws OverlaybdError BAD_FORMAT for what is not a digest
 */
function tocDigestsOf({ annotations }: Descriptor, where: ErrorFacts): TocDigests | null {
  const digestOf = (key: string): string | null => {
    const digest = annotations.get(key);
    if (digest === undefined || isSha256(digest)) return digest ?? null;
    const got = quoted(shortened(digest, MAX_SHOWN_LENGTH));
    const place = within(where, `its annotation ${key}`);
    throw mismatch('BAD_FORMAT', { ...place, expected: '"sha256:" and 64 digits', got });
  };
  const json = digestOf(JSON_DIGEST);
  const [manifest = null] = MANIFEST_DIGESTS.flatMap((key) => digestOf(key) ?? []);
  return json === null && manifest === null ? null : { json, manifest };
}

/**
 * The tables of contents of an image.
 * @param layers bottom first
 * @param name of the image, for messages
 * @returns one for each layer, null for a layer without one; null if no layer has one
 * @throws OverlaybdError BAD_FORMAT
 */
export function tocsOf(
  layers: readonly Descriptor[],
  name: string,
): readonly (TocDigests | null)[] | null {
  const tocs = layers.map((layer, i) => tocDigestsOf(layer, layerPlace(name, i, layers)));
  return tocs.some((toc) => toc !== null) ? tocs : null;
}
