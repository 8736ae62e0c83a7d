// The targets of turboOCI layers that a configuration or a manifest names.

import { isDeepStrictEqual } from 'node:util';
import { describeRef, fileRef, keyOfRef, type BlobRef } from '../../blob/blob-ref.js';
import type { LowerConfig } from '../../config/image-config.js';
import type { ErrorFacts, OverlaybdError } from '../../errors.js';
import { errorOf } from '../../lib/fault.js';
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
    const where = { path, section: `lowers.${i}` };
    const key = keyOfRef(found[i] as BlobRef);
    const target = await findTarget(lower, where, folder, repository);
    const known = targets.get(key);
    const isOther = target
      ? plain.has(key) || (known !== undefined && !isDeepStrictEqual(known, target))
      : known !== undefined;
    if (isOther) {
      const facts = { ...where, blob: describeRef(found[i] as BlobRef) };
      throw errorOf('BAD_CONFIG', facts, 'a lower below it has the same file with another target');
    }
    if (target) targets.set(key, target);
    else plain.add(key);
  }
  return targets;
}

async function findTarget(
  { targetFile, targetDigest, gzipIndex }: LowerConfig,
  where: ErrorFacts,
  folder: string,
  repository: () => RepositoryUrl | null,
): Promise<TargetRefs | null> {
  if (targetFile === '' && targetDigest === '') {
    if (gzipIndex === '') return null;
    throw errorOf('BAD_CONFIG', where, 'a gzipIndex, and no targetFile or targetDigest');
  }
  const target =
    targetFile === ''
      ? targetIn(repository(), targetDigest, keyIn(where, 'targetDigest'))
      : fileRef(await locate(targetFile, folder));
  return {
    target,
    gzipIndex: gzipIndex === '' ? null : fileRef(await locate(gzipIndex, folder)),
  };
}

/** @throws OverlaybdError BAD_CONFIG, UNSUPPORTED for a digest of another algorithm */
function targetIn(repository: RepositoryUrl | null, digest: string, where: ErrorFacts): TargetName {
  if (!isDigest(digest)) {
    throw noDigest(digest, where);
  }
  checkServedDigest(digest, where);
  if (repository) return { kind: 'unsized', ...repository, digest };
  const why = 'the target is in a registry, and there is no repoBlobUrl';
  throw errorOf('BAD_CONFIG', { ...where, digest }, why);
}

/** A key in a part of a configuration: "lowers.3.size". */
export function keyIn({ section, ...facts }: ErrorFacts, key: string): ErrorFacts {
  return { ...facts, section: `${section}.${key}` };
}

export function noDigest(digest: string, where: ErrorFacts): OverlaybdError {
  const [expected, got] = ['"sha256:" and 64 digits 0-9, a-f', shownDigest(digest)];
  return errorOf('BAD_CONFIG', { ...where, expected, got }, `${got} is not a digest: ${expected}`);
}

function shownDigest(digest: string): string {
  return quoted(shortened(digest, MAX_SHOWN_LENGTH));
}
