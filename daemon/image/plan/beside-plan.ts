// What the command line names beside layers, as a part of the plan of an image.

import {
  absoluteRef,
  describeRef,
  fileRef,
  keyOfRef,
  registryRefOf,
  type BlobRef,
} from '../../blob/blob-ref.js';
import { errorOf, overLimit, within } from '../../lib/fault.js';
import { counted } from '../../lib/counted.js';
import type { DataBlobs, GivenIndex, ZtocRef } from '../../registry/manifest-source.js';
import { MAX_ZTOC_BYTES } from '../../soci/limits.js';
import type { Beside } from './image-source.js';
import type { TocDigests } from '../../registry/toc-annotations.js';

/** The parts of a plan: see ImagePlan. */
export interface PlannedBeside {
  readonly tocs: ReadonlyMap<string, TocDigests> | null;
  readonly tocBlob: BlobRef | null;
  readonly ztocs?: ReadonlyMap<string, ZtocRef>;
  readonly objects?: string;
  readonly dataBlobs?: DataBlobs;
}

/** What a choice changes of a plan. */
interface ChosenPlan {
  readonly name: string;
  readonly lowers: readonly BlobRef[];
  readonly upper: unknown;
  readonly trace: unknown;
  readonly mayBeRaw: boolean;
}

/**
 * @param named what the image was given as
 * @throws OverlaybdError BAD_ARGUMENT if nothing may lie beside that
 */
export function checkBeside(
  { tocBlob, tocDigest, ztocs, objects, blobs, sociIndex }: Beside,
  named: readonly BlobRef[],
  isOfLayers: boolean,
): void {
  const name = describeRef(named[0] as BlobRef);
  const isImage = named[0]?.kind === 'image';
  // Whether an image has one layer is known later: see withObjects.
  const forOne = [
    tocBlob === null ? [] : '--toc-blob',
    tocDigest === null ? [] : '--toc-digest',
    objects === undefined || isImage ? [] : '--objects',
    blobs === undefined ? [] : '--blobs',
  ].flat();
  if (forOne.length > 0 && !(isOfLayers && named.length === 1)) {
    const why = `only for a single layer that is given as a file`;
    throw errorOf('BAD_ARGUMENT', within(name, forOne.join(', ')), why);
  }
  if (sociIndex !== undefined && named[0]?.kind !== 'image') {
    const why = `only for images of registries and layouts; --ztoc names the ztocs of layers`;
    throw errorOf('BAD_ARGUMENT', within(name, '--soci-index'), why);
  }
  if (ztocs.length === 0 || (isOfLayers && ztocs.length === named.length)) return;
  const place = within(name, '--ztoc');
  if (!isOfLayers) throw errorOf('BAD_ARGUMENT', place, 'only for layers that are given as files');
  const [expected, got] = [counted(named.length, 'layer'), counted(ztocs.length, 'ztoc')];
  const advice = 'it is given once for each layer, bottom first; "none" for one without';
  throw errorOf('BAD_ARGUMENT', { ...place, expected, got }, `${expected} and ${got}: ${advice}`);
}

/**
 * @param lowers bottom first
 * @throws OverlaybdError BAD_ARGUMENT if one layer has two ztocs
 */
export function planBeside(
  lowers: readonly BlobRef[],
  { tocBlob = null, tocDigest = null, ztocs = [], objects, blobs }: Partial<Beside>,
): PlannedBeside {
  const hasZtocs = ztocs.some((path) => path !== null);
  return {
    tocs:
      tocDigest === null || hasZtocs
        ? null
        : new Map(lowers.map((ref) => [keyOfRef(ref), { json: tocDigest, manifest: tocDigest }])),
    tocBlob: tocBlob === null ? null : absoluteRef(fileRef(tocBlob)),
    ...(objects !== undefined && { objects }),
    ...(blobs !== undefined && { dataBlobs: { folder: blobs, refs: new Map(), bootstrap: null } }),
    ...(hasZtocs && { ztocs: ztocsOf(lowers, ztocs, tocDigest) }),
  };
}

/**
 * The plan of an image with the folder that has the objects of its layer, a composefs image.
 * @throws OverlaybdError BAD_ARGUMENT if it has several layers
 */
export function withObjects<Plan extends Pick<ChosenPlan, 'name' | 'lowers'>>(
  plan: Plan,
  { objects }: Partial<Beside> = {},
): Plan {
  if (objects === undefined) return plan;
  if (plan.lowers.length === 1) return { ...plan, objects };
  const got = counted(plan.lowers.length, 'layer');
  const place = { ...within(plan.name, '--objects'), expected: '1 layer', got };
  throw errorOf('BAD_ARGUMENT', place, `only for an image of 1 layer, and it has ${got}`);
}

/**
 * The plan of one layer alone, if the command line chooses one.
 * @throws OverlaybdError BAD_ARGUMENT if the image has no such layer
 */
export function withChoices<Plan extends ChosenPlan>(
  plan: Plan,
  { layer, insecureToc }: Partial<Beside> = {},
): Plan {
  const chosen = insecureToc ? { ...plan, insecureToc } : plan;
  if (layer === undefined) return chosen;
  const ref = plan.lowers[layer];
  if (ref) {
    const name = `${plan.name} (layer ${layer})`;
    return { ...chosen, name, lowers: [ref], upper: null, trace: null, mayBeRaw: false, layer };
  }
  const expected = counted(plan.lowers.length, 'layer');
  const place = { ...within(plan.name, `--layer ${layer}`), expected, got: layer };
  throw errorOf('BAD_ARGUMENT', place, `it has ${expected}, and the bottom one is 0`);
}

function ztocsOf(
  lowers: readonly BlobRef[],
  paths: readonly (string | null)[],
  digest: string | null,
): Map<string, ZtocRef> {
  const byLayer = new Map<string, string | null>();
  for (const [i, path] of paths.entries()) {
    const layer = lowers[i] as BlobRef;
    const key = keyOfRef(layer);
    const known = byLayer.get(key);
    if (known !== undefined && known !== path) {
      const place = { blob: describeRef(layer), section: '--ztoc' };
      throw errorOf('BAD_ARGUMENT', place, 'this layer is given twice, with different ztocs');
    }
    byLayer.set(key, path);
  }
  const ztocs = new Map<string, ZtocRef>();
  for (const [key, path] of byLayer) {
    if (path !== null) ztocs.set(key, { ref: absoluteRef(fileRef(path)), digest });
  }
  return ztocs;
}

/** The SOCI index that is named for an image. @throws OverlaybdError as {@link givenIndex} does */
export async function indexOf({ sociIndex }: Partial<Beside> = {}): Promise<GivenIndex | null> {
  if (sociIndex === undefined) return null;
  const { givenIndex } = await import('./given-index.js');
  return givenIndex(sociIndex);
}

/** Their sizes are claims of an index. @throws OverlaybdError LIMIT */
export function checkZtocs(ztocs: ReadonlyMap<string, ZtocRef> | undefined, name: string): void {
  for (const { ref, digest } of ztocs?.values() ?? []) {
    const size = registryRefOf(ref)?.size ?? 0;
    if (size <= MAX_ZTOC_BYTES) continue;
    const place = {
      ...within(name, `ztoc ${describeRef(ref)}`),
      ...(digest !== null && { digest }),
    };
    throw overLimit(place, size, 'bytes', MAX_ZTOC_BYTES);
  }
}
