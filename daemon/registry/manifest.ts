// Parses manifests and indexes of the OCI and of Docker's schema 2. Pure. What they say is checked against
// named limits; whether the layers are overlaybd blobs is decided in overlaybd-layers.ts.

import * as v from 'valibot';
import { MAX_LAYERS } from '../config/image-config.js';
import { parseWith } from '../config/parse.js';
import { OverlaybdError } from '../errors.js';
import { quoted, shortened } from '../lib/printable.js';
import { counted } from '../lib/counted.js';
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
 * @param name for messages: "docker.io/library/redis:7", or with a digest
 * @throws OverlaybdError BAD_FORMAT naming the wrong value by its path, LIMIT, UNSUPPORTED for what is neither
 */
export function parseManifest(
  bytes: Uint8Array,
  claimed: string,
  name: string,
): ImageManifest | ImageIndex {
  if (bytes.length > MAX_MANIFEST_SIZE) {
    const message = `${name}: a manifest of ${bytes.length} bytes, at most ${MAX_MANIFEST_SIZE}`;
    throw new OverlaybdError('LIMIT', message);
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
function typeOf(value: unknown, claimed: string, name: string): string {
  const has = (value ?? {}) as Record<string, unknown>;
  const own = typeof has['mediaType'] === 'string' ? has['mediaType'] : '';
  if (isSchema1Type(own) || isSchema1Type(claimed) || has['schemaVersion'] === 1) {
    const what = 'a manifest of Docker schema 1, which has been superseded since 2017';
    throw new OverlaybdError('UNSUPPORTED', `${name}: ${what}: push the image again`);
  }
  // Two readers might take the same bytes for different things.
  if (own !== '' && isKnown(claimed) && own !== claimed) {
    throw bad(
      name,
      `mediaType: ${show(own)}, but its descriptor or Content-Type is ${show(claimed)}`,
    );
  }
  const [hasLayers, hasManifests] = ['layers', 'manifests'].map((key) => Array.isArray(has[key]));
  if (hasLayers && hasManifests) throw bad(name, 'it has both layers and manifests');
  const shape = hasManifests ? OCI_INDEX : hasLayers ? OCI_MANIFEST : '';
  const type = own || (isKnown(claimed) ? claimed : shape);
  if (!isKnown(type)) {
    const which = show(type || claimed || 'no media type');
    throw new OverlaybdError('UNSUPPORTED', `${name}: neither a manifest nor an index: ${which}`);
  }
  if (shape !== '' && isIndexType(type) !== isIndexType(shape)) {
    const what = isIndexType(shape) ? 'manifests' : 'layers';
    throw bad(name, `mediaType: ${show(type)}, but it has ${what}`);
  }
  return type;
}

function isKnown(type: string): boolean {
  return isIndexType(type) || isManifestType(type);
}

/** Before the content of the items, of which a hostile manifest may have 100,000. */
function checkCounts(value: unknown, name: string): void {
  const { layers, manifests } = (value ?? {}) as Record<string, unknown>;
  if (Array.isArray(layers) && layers.length > MAX_MANIFEST_LAYERS) {
    const message = `${name}: ${counted(layers.length, 'layer')}, at most ${MAX_MANIFEST_LAYERS}`;
    throw new OverlaybdError('LIMIT', message);
  }
  if (Array.isArray(manifests) && manifests.length > MAX_INDEX_ENTRIES) {
    const message = `${name}: ${counted(manifests.length, 'manifest')}, at most ${MAX_INDEX_ENTRIES}`;
    throw new OverlaybdError('LIMIT', message);
  }
}

function show(type: string): string {
  return quoted(shortened(type, MAX_MEDIA_TYPE_LENGTH));
}

function bad(name: string, why: string): OverlaybdError {
  return new OverlaybdError('BAD_FORMAT', `${name}: ${why}`);
}
