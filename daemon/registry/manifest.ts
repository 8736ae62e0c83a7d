// Parses manifests and indexes of the OCI and of Docker's schema 2. Pure. What they say is checked against
// named limits; whether the layers are overlaybd blobs is decided in overlaybd-layers.ts.

import * as v from 'valibot';
import { MAX_LAYERS } from '../config/image-config.js';
import { parseWith } from '../config/parse.js';
import type { ErrorFacts } from '../errors.js';
import { aboutOf, errorOf, overLimit, within, type About } from '../lib/fault.js';
import { quoted, shortened } from '../lib/printable.js';
import { jsonObject, nonEmptyString, wholeNumber } from '../lib/schema.js';
import { isDigest } from './digest.js';
import {
  OCI_INDEX,
  OCI_MANIFEST,
  isIndexType,
  isManifestType,
  isSchema1Type,
} from './media-types.js';

/** Bytes of a manifest or an index. Registries need not take larger ones. */
export const MAX_MANIFEST_SIZE = 4 << 20;
/** One more than a stack has: the acceleration layer. */
export const MAX_MANIFEST_LAYERS = MAX_LAYERS + 1;
/** Entries of an index. */
export const MAX_INDEX_ENTRIES = 4096;
const MAX_MEDIA_TYPE_LENGTH = 255;

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  /** '' if it has none. */
  readonly variant: string;
  /** Whether it wants features of the system beyond that. */
  readonly hasFeatures?: boolean;
}

/** What names a blob or a manifest. */
export interface Descriptor {
  readonly mediaType: string;
  /** Of the form "sha256:HEX" or "sha512:HEX". */
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
  readonly annotations: ReadonlyMap<string, string>;
  readonly platform: Platform | null;
  readonly artifactType: string | null;
}

export interface ImageManifest {
  readonly kind: 'manifest';
  readonly config: Descriptor;
  /** Bottom first. */
  readonly layers: readonly Descriptor[];
  readonly artifactType: string | null;
  /** The digest of the manifest that this one refers to. */
  readonly subject: string | null;
  readonly annotations: ReadonlyMap<string, string>;
}

export interface ImageIndex {
  readonly kind: 'index';
  readonly manifests: readonly Descriptor[];
  readonly subject: string | null;
}

const digest = v.custom<string>(
  (value) => typeof value === 'string' && isDigest(value),
  ({ input }) => {
    const shown = typeof input === 'string' ? quoted(shortened(input, 160)) : 'it';
    return `${shown} is not a digest: "sha256:" and 64 digits 0-9, a-f`;
  },
);
const mediaType = v.pipe(
  nonEmptyString,
  v.maxLength(MAX_MEDIA_TYPE_LENGTH, `longer than ${MAX_MEDIA_TYPE_LENGTH} characters`),
);
/** Go writes null for what is empty. */
const annotations = v.pipe(
  v.nullish(v.pipe(jsonObject, v.record(v.string(), v.string())), {}),
  v.transform((each) => new Map(Object.entries(each))),
);
const text = v.nullish(v.string(), '');
const textOrNull = v.nullish(v.string(), null);

const platform = v.pipe(
  jsonObject,
  v.object({
    os: text,
    architecture: text,
    variant: text,
    'os.features': v.nullish(v.array(v.string()), []),
  }),
  v.transform(({ os, architecture, variant, 'os.features': features }): Platform => {
    return { os, architecture, variant, hasFeatures: features.length > 0 };
  }),
);

const descriptor = v.pipe(
  jsonObject,
  v.object({
    mediaType,
    digest,
    size: wholeNumber(0),
    annotations,
    platform: v.nullish(platform, null),
    artifactType: textOrNull,
  }),
);

const subject = v.pipe(
  v.nullish(v.pipe(jsonObject, v.object({ digest })), null),
  v.transform((each) => each?.digest ?? null),
);

const manifestSchema = v.pipe(
  jsonObject,
  v.object({
    config: descriptor,
    layers: v.nullish(v.array(descriptor), []),
    artifactType: textOrNull,
    subject,
    annotations,
  }),
  v.transform((value): ImageManifest | ImageIndex => ({ kind: 'manifest', ...value })),
);

const indexSchema = v.pipe(
  jsonObject,
  v.object({ manifests: v.nullish(v.array(descriptor), []), subject }),
  v.transform((value): ImageManifest | ImageIndex => ({ kind: 'index', ...value })),
);

/**
 * Parses a manifest or an index.
 * @param claimed its media type by its descriptor or Content-Type; '' if nothing says it
 * @param of what names it: the name of the image, or facts
 * @throws OverlaybdError BAD_FORMAT naming the wrong value by its path, LIMIT, UNSUPPORTED for what is neither
 */
export function parseManifest(
  bytes: Uint8Array,
  claimed: string,
  of: About,
): ImageManifest | ImageIndex {
  const name = aboutOf(of);
  if (bytes.length > MAX_MANIFEST_SIZE) {
    throw overLimit(name, bytes.length, 'bytes of a manifest', MAX_MANIFEST_SIZE);
  }
  const json = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  let type = '';
  const precheck = (value: unknown): void => {
    type = typeOf(value, claimed, name);
    checkCounts(value, name);
  };
  const schema = v.lazy(() => (isIndexType(type) ? indexSchema : manifestSchema));
  return parseWith(schema, json, name, precheck, 'BAD_FORMAT');
}

/** @throws OverlaybdError UNSUPPORTED, BAD_FORMAT if the types contradict each other */
function typeOf(value: unknown, claimed: string, name: ErrorFacts): string {
  const has = (value ?? {}) as Record<string, unknown>;
  const own = typeof has['mediaType'] === 'string' ? has['mediaType'] : '';
  if (isSchema1Type(own) || isSchema1Type(claimed) || has['schemaVersion'] === 1) {
    const what = 'a manifest of Docker schema 1, which has been superseded since 2017';
    throw errorOf('UNSUPPORTED', name, `${what}: push the image again`);
  }
  // Two readers might take the same bytes for different things.
  if (own !== '' && isKnown(claimed) && own !== claimed) {
    const [got, expected] = [show(own), show(claimed)];
    const place = { ...within(name, 'mediaType'), expected, got };
    throw errorOf('BAD_FORMAT', place, `${got}, but its descriptor or Content-Type is ${expected}`);
  }
  const [hasLayers, hasManifests] = ['layers', 'manifests'].map((key) => Array.isArray(has[key]));
  if (hasLayers && hasManifests) {
    throw errorOf('BAD_FORMAT', name, 'it has both layers and manifests');
  }
  const shape = hasManifests ? OCI_INDEX : hasLayers ? OCI_MANIFEST : '';
  const type = own || (isKnown(claimed) ? claimed : shape);
  if (!isKnown(type)) {
    const got = show(type || claimed || 'no media type');
    const facts = { ...name, got };
    throw errorOf('UNSUPPORTED', facts, `neither a manifest nor an index: ${got}`);
  }
  if (shape !== '' && isIndexType(type) !== isIndexType(shape)) {
    const what = isIndexType(shape) ? 'manifests' : 'layers';
    const place = { ...within(name, 'mediaType'), got: show(type) };
    throw errorOf('BAD_FORMAT', place, `${place.got}, but it has ${what}`);
  }
  return type;
}

function isKnown(type: string): boolean {
  return isIndexType(type) || isManifestType(type);
}

/** Before the content of the items, of which a hostile manifest may have 100,000. */
function checkCounts(value: unknown, name: ErrorFacts): void {
  const { layers, manifests } = (value ?? {}) as Record<string, unknown>;
  if (Array.isArray(layers) && layers.length > MAX_MANIFEST_LAYERS) {
    throw overLimit(name, layers.length, 'layers', MAX_MANIFEST_LAYERS);
  }
  if (Array.isArray(manifests) && manifests.length > MAX_INDEX_ENTRIES) {
    throw overLimit(name, manifests.length, 'manifests', MAX_INDEX_ENTRIES);
  }
}

function show(type: string): string {
  return quoted(shortened(type, MAX_MEDIA_TYPE_LENGTH));
}
