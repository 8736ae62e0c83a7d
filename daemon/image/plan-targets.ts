// The targets of turboOCI layers that a configuration or a manifest names.

import { isDeepStrictEqual } from 'node:util';
import { fileRef, keyOfRef, type BlobRef } from '../blob/blob-ref.js';
import type { LowerConfig } from '../config/image-config.js';
import { OverlaybdError } from '../errors.js';
import type { TargetName } from '../registry/manifest-source.js';
import { locate } from './config-paths.js';
import type { TargetRefs } from './target.js';

/** The targets that a manifest names: gzip indexes are in the layers. */
export function targetsInLayers(
  targets: ReadonlyMap<string, TargetName>,
): ReadonlyMap<string, TargetRefs> {
  return new Map([...targets].map(([key, target]) => [key, { target, gzipIndex: 'in layer' }]));
}

/**
 * The targets of turboOCI layers, by the key of the layer's name.
 * @param found the name of each lower's blob
 * @throws OverlaybdError BAD_CONFIG, NOT_FOUND, UNSUPPORTED
 */
export async function findTargets(
  lowers: readonly LowerConfig[],
  found: readonly BlobRef[],
  path: string,
  folder: string,
): Promise<Map<string, TargetRefs>> {
  const targets = new Map<string, TargetRefs>();
  const plain = new Set<string>();
  for (const [i, lower] of lowers.entries()) {
    const where = `${path}: lowers.${i}`;
    const key = keyOfRef(found[i] as BlobRef);
    const target = await findTarget(lower, where, folder);
    const known = targets.get(key);
    const isOther = target
      ? plain.has(key) || (known !== undefined && !isDeepStrictEqual(known, target))
      : known !== undefined;
    if (isOther) {
      const message = `${where}: a lower below it has the same file with another target`;
      throw new OverlaybdError('BAD_CONFIG', message);
    }
    if (target) targets.set(key, target);
    else plain.add(key);
  }
  return targets;
}

async function findTarget(
  { targetFile, targetDigest, gzipIndex }: LowerConfig,
  where: string,
  folder: string,
): Promise<TargetRefs | null> {
  if (targetFile === '' && targetDigest === '') {
    if (gzipIndex === '') return null;
    throw new OverlaybdError('BAD_CONFIG', `${where}: a gzipIndex, and no targetFile`);
  }
  if (targetFile === '') {
    const message = `${where}: targetDigest: a target in a registry is not supported in a configuration`;
    throw new OverlaybdError('UNSUPPORTED', message);
  }
  return {
    target: fileRef(await locate(targetFile, folder)),
    gzipIndex: gzipIndex === '' ? null : fileRef(await locate(gzipIndex, folder)),
  };
}
