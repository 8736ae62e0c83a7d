// Which layers of a manifest are overlaybd blobs: by their annotations, and by their bytes if they have none.

import type { ErrorFacts, OverlaybdError } from '../errors.js';
import { MAX_LAYERS } from '../config/image-config.js';
import { errorOf, overLimit } from '../lib/fault.js';
import { quoted, shortened } from '../lib/printable.js';
import type { BlobKind } from './blob-head.js';
import { checkServedDigest } from './digest.js';
import type { Descriptor } from './manifest.js';
import { ANNOTATION, isCompressedType } from './media-types.js';
import { layerPlace } from './layer-place.js';

/** The ext4 base layer that upstream's convertor puts below others: a bare ZFile. */
const BASE_LAYER = 'sha256:c3a417552a6cf9ffa959b541850bab7d7f08f4255425bf8b48c85f7b36b378d9';
const MAX_SHOWN_LENGTH = 160;

/** The layers of an overlaybd image. */
export interface OverlaybdLayers<T> {
  /** Bottom first; at least one. */
  readonly lowers: readonly T[];
  /** The acceleration layer. */
  readonly trace: T | null;
  /** Sentences for the operator. */
  readonly notes: readonly string[];
}

export interface LayersWithTargets extends OverlaybdLayers<Descriptor> {
  /** The digest of the target of each turboOCI layer. */
  readonly targets: ReadonlyMap<Descriptor, string>;
  /** Layers of which no annotation says what they are, and so only their bytes. */
  readonly byBytes: ReadonlySet<Descriptor>;
}

/** Looks at the bytes of a layer; null if they are not at hand. */
export type LookAtLayer = ((layer: Descriptor) => Promise<BlobKind>) | null;

/** `unknown`: nothing says what it is, and its media type allows all. */
export type LayerKind = BlobKind | 'unknown';

/** What the descriptor of a layer says. @param where for messages */
function kindByDescriptor(layer: Descriptor, where: ErrorFacts): LayerKind {
  const { annotations, digest, size, mediaType } = layer;
  const version = annotations.get(ANNOTATION.version) ?? '';
  const isTurbo =
    annotations.has(ANNOTATION.turboTarget) ||
    annotations.has(ANNOTATION.fastociTarget) ||
    /turbo|fastoci/.test(version);
  if (isTurbo) return 'turbo';
  if (annotations.get(ANNOTATION.accelerationLayer) === 'yes') return 'trace';
  const blobDigest = annotations.get(ANNOTATION.blobDigest);
  const blobSize = annotations.get(ANNOTATION.blobSize);
  if (blobDigest === undefined && blobSize === undefined) {
    if (digest === BASE_LAYER) return 'data';
    return isCompressedType(mediaType) ? 'other' : 'unknown';
  }
  if (blobDigest !== undefined && blobDigest !== digest) {
    throw changed(where, 'blob-digest', quoted(shortened(blobDigest, MAX_SHOWN_LENGTH)), digest);
  }
  if (blobSize !== undefined && blobSize !== String(size)) {
    throw changed(where, 'blob-size', quoted(shortened(blobSize, MAX_SHOWN_LENGTH)), `${size}`);
  }
  return 'data';
}

function changed(where: ErrorFacts, key: string, says: string, is: string): OverlaybdError {
  const why = 'a tool has changed the layer after it was converted, or has compressed it';
  const facts = { ...where, expected: says, got: is };
  const what = `its annotation ${key} is ${says}, but the descriptor says ${is}`;
  return errorOf('BAD_FORMAT', facts, `${what}: ${why}`);
}

/**
 * The overlaybd layers of a manifest.
 * @param name of the image, for messages
 * @returns null for an ordinary image
 * @throws OverlaybdError as {@link stackOf} does; BAD_FORMAT for annotations that contradict the descriptor
 */
export async function overlaybdLayers(
  layers: readonly Descriptor[],
  name: string,
  look: LookAtLayer,
): Promise<LayersWithTargets | null> {
  const where = placeIn(name, layers);
  const targets = new Map<Descriptor, string>();
  const kinds = layers.map((layer, i): LayerKind => {
    const kind = kindByDescriptor(layer, where(i));
    const target = kind === 'turbo' ? targetDigestOf(layer) : undefined;
    if (target === undefined) return kind;
    checkServedDigest(target, where(i));
    targets.set(layer, target);
    return 'data';
  });
  const byBytes = new Set(layers.filter((_, i) => kinds[i] === 'unknown'));
  const notes: string[] = [];
  await lookAtUnknown(layers, kinds, look, name, notes);
  const found = stackOf(layers, kinds, name, ({ mediaType, digest }) => {
    return `${quoted(shortened(mediaType, MAX_SHOWN_LENGTH))}, ${digest}`;
  });
  if (!found) return null;
  for (const [i, { digest }] of layers.entries()) checkServedDigest(digest, where(i));
  return { ...found, targets, byBytes, notes: [...notes, ...found.notes] };
}

function targetDigestOf({ annotations }: Descriptor): string | undefined {
  return annotations.get(ANNOTATION.turboTarget) ?? annotations.get(ANNOTATION.fastociTarget);
}

/**
 * Divides layers, bottom first, by what they are. A layer of an unknown kind counts as data: the opener
 * says what is wrong with it.
 * @param name of the image, for messages
 * @returns null for an ordinary image
 * @throws OverlaybdError UNSUPPORTED for turboOCI without a target and for ordinary layers in between, BAD_FORMAT, LIMIT
 */
export function stackOf<T>(
  layers: readonly T[],
  kinds: readonly LayerKind[],
  name: string,
  describe: (layer: T) => string,
): OverlaybdLayers<T> | null {
  const where = placeIn(name, layers);
  const turbo = kinds.indexOf('turbo');
  if (turbo >= 0) throw turboError(where(turbo));
  if (!kinds.includes('data')) {
    if (!kinds.includes('trace')) return null;
    throw errorOf('BAD_FORMAT', name, 'an acceleration layer and no other layer');
  }
  const ordinary = kinds.indexOf('other');
  if (ordinary >= 0) throw ordinaryError(where(ordinary), describe(layers[ordinary] as T));
  const lowers = layers.filter((_, i) => kinds[i] !== 'trace');
  const traces = layers.filter((_, i) => kinds[i] === 'trace');
  if (lowers.length > MAX_LAYERS) {
    throw overLimit({ image: name }, lowers.length, 'layers', MAX_LAYERS);
  }
  const several = `${name}: of several acceleration layers only the topmost is used`;
  return { lowers, trace: traces.at(-1) ?? null, notes: traces.length > 1 ? [several] : [] };
}

function placeIn(name: string, layers: readonly unknown[]): (i: number) => ErrorFacts {
  return (i) => layerPlace(name, i, layers);
}

/** Replaces the unknown kinds, if that is possible and worth the requests. */
async function lookAtUnknown(
  layers: readonly Descriptor[],
  kinds: LayerKind[],
  look: LookAtLayer,
  name: string,
  notes: string[],
): Promise<void> {
  const unknown = [...kinds.entries()].filter(([, kind]) => kind === 'unknown');
  const [first] = unknown;
  if (!look || !first) return;
  const isOverlaybd = kinds.some((kind) => kind === 'data' || kind === 'trace');
  const replace = async (i: number): Promise<BlobKind> => {
    const kind = await look(layers[i] as Descriptor);
    kinds[i] = kind;
    return kind;
  };
  const [bottom] = first;
  const kind = await replace(bottom);
  // Of an ordinary image, one layer is enough to see that.
  if (!isOverlaybd && kind === 'other') return;
  for (const [i] of unknown.slice(1)) await replace(i);
  if (kinds.includes('data') && !isOverlaybd) {
    notes.push(
      `${name}: its layers have no overlaybd annotations, which a tool must have dropped; ` +
        `they are recognised by their bytes`,
    );
  }
}

function turboError(where: ErrorFacts): OverlaybdError {
  const what = 'a turboOCI layer (an index over an ordinary layer)';
  const why = `${what}, and no annotation names the ordinary layer: a tool must have dropped it; copy or convert the image again`;
  return errorOf('UNSUPPORTED', where, why);
}

function ordinaryError(where: ErrorFacts, layer: string): OverlaybdError {
  const what = `an ordinary layer (${layer}) among overlaybd layers`;
  return errorOf('UNSUPPORTED', where, `${what}: convert the image again`);
}
