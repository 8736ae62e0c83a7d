// The targets of turboOCI layers that a configuration or a manifest names.

import { isDeepStrictEqual } from 'node:util';
import { fileRef, keyOfRef, type BlobRef } from '../../blob/blob-ref.js';
import type { LowerConfig } from '../../config/image-config.js';
import { OverlaybdError } from '../../errors.js';
import { quoted, shortened } from '../../lib/printable.js';
import { checkServedDigest, isDigest } from '../../registry/digest.js';
import type { TargetName } from '../../registry/manifest-source.js';
import type { RepositoryUrl } from '../../registry/repo-blob-url.js';
import { locate } from './config-paths.js';
import type { TargetRefs } from './target.js';

const MAX_SHOWN_LENGTH = 160;

/** The targets that a manifest names: gzip indexes are in the layers. */
export function targetsInLayers(
  targets: ReadonlyMap<string, TargetName>,
): ReadonlyMap<string, TargetRefs> {
  return new Map([...targets].map(([key, target]) => [key, { target, gzipIndex: 'in layer' }]));
}

/**
 * The targets of turboOCI layers, by the key of the layer's name.
 * @param found the name of each lower's blob
 * @param repository that of the configuration, where targets are that are not files; null: it names none
 * @throws OverlaybdError BAD_CONFIG, NOT_FOUND, UNSUPPORTED
 */
export async function findTargets(
  lowers: readonly LowerConfig[],
  found: readonly BlobRef[],
  path: string,
  folder: string,
  repository: () => RepositoryUrl | null,
): Promise<Map<string, TargetRefs>> {
  const targets = new Map<string, TargetRefs>();
  const plain = new Set<string>();
  for (const [i, lower] of lowers.entries()) {
    const where = `${path}: lowers.${i}`;
    const key = keyOfRef(found[i] as BlobRef);
    const target = await findTarget(lower, where, folder, repository);
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
  repository: () => RepositoryUrl | null,
): Promise<TargetRefs | null> {
  if (targetFile === '' && targetDigest === '') {
    if (gzipIndex === '') return null;
    throw new OverlaybdError(
      'BAD_CONFIG',
      `${where}: a gzipIndex, and no targetFile or targetDigest`,
    );
  }
  const target =
    targetFile === ''
      ? targetIn(repository(), targetDigest, `${where}.targetDigest`)
      : fileRef(await locate(targetFile, folder));
  return {
    target,
    gzipIndex: gzipIndex === '' ? null : fileRef(await locate(gzipIndex, folder)),
  };
}

/** @throws OverlaybdError BAD_CONFIG, UNSUPPORTED for a digest of another algorithm */
function targetIn(repository: RepositoryUrl | null, digest: string, where: string): TargetName {
  if (!isDigest(digest)) {
    const shown = quoted(shortened(digest, MAX_SHOWN_LENGTH));
    const message = `${where}: ${shown} is not a digest: "sha256:" and 64 digits 0-9, a-f`;
    throw new OverlaybdError('BAD_CONFIG', message);
  }
  checkServedDigest(digest, where);
  if (repository) return { kind: 'unsized', ...repository, digest };
  const message = `${where}: the target is in a registry, and there is no repoBlobUrl`;
  throw new OverlaybdError('BAD_CONFIG', message);
}
