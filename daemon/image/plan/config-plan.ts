// The blobs that a config.v1.json names. Looks whether its files exist, and opens none.

import { dirname, resolve } from 'node:path';
import { fileRef, type BlobRef } from '../../blob/blob-ref.js';
import { fileExists } from '../../blob/file-jobs.js';
import { parseImageConfig, type ImageConfig, type LowerConfig } from '../../config/image-config.js';
import { OverlaybdError, type ErrorFacts } from '../../errors.js';
import { errorOf } from '../../lib/fault.js';
import { PARALLEL_FILES } from '../../lib/effort.js';
import { mapEach } from '../../lib/gate.js';
import { isSha256 } from '../../lib/sha256.js';
import { checkServedDigest, isDigest } from '../../registry/digest.js';
import { parseRepoBlobUrl, type RepositoryUrl } from '../../registry/repo-blob-url.js';
import { locate } from './config-paths.js';
import { checkLayerCount, checkRegistryBytes } from './plan-limits.js';
import { findTargets, keyIn, noDigest } from './plan-targets.js';
import type { TargetRefs } from './target.js';
import { closest } from '../../lib/closest.js';
import { quoted, shortened } from '../../lib/printable.js';

/** Names of a layer's blob in its `dir`, in order of preference. */
const DIR_CANDIDATES = ['overlaybd.commit', '.commit', 'overlaybd.sealed'];

/** The name of the trace in an acceleration layer. */
const TRACE_NAME = 'trace';

/** The files of an upper. */
export interface UpperRefs {
  readonly data: BlobRef;
  readonly index: BlobRef;
}

/** See ImagePlan. */
interface ConfigPlan {
  readonly lowers: readonly BlobRef[];
  readonly upper: UpperRefs | null;
  readonly trace: BlobRef | null;
  readonly targets: ReadonlyMap<string, TargetRefs> | null;
  readonly notes: readonly string[];
}

/**
 * @param path of the configuration
 * @throws OverlaybdError BAD_CONFIG, NOT_FOUND, UNSUPPORTED, LIMIT
 */
export async function planConfig(path: string, json: string): Promise<ConfigPlan> {
  const config = parseImageConfig(json, path);
  const notes: string[] = [];
  let lowers = config.lowers;
  const folder = dirname(path);
  const repository = (): RepositoryUrl | null => repositoryOf(config, path);
  let trace: BlobRef | null = null;
  const acceleration = config.accelerationLayer ? lowers.at(-1) : undefined;
  if (acceleration) {
    lowers = lowers.slice(0, -1);
    let missing = ', and is not on disk: nothing is prefetched';
    try {
      trace = await findTrace(acceleration, folder, repository);
      if (trace) missing = '';
    } catch (error) {
      if (!(error instanceof OverlaybdError)) throw error;
      missing = `, and nothing is prefetched: ${error.message}`;
    }
    notes.push(
      `${path}: its last lower is an acceleration layer, which is not part of the disk${missing}`,
    );
  }
  if (config.recordTracePath !== '' && !acceleration) {
    const recorded = await locate(config.recordTracePath, folder);
    if (await fileExists(recorded)) trace = fileRef(recorded);
    else
      notes.push(
        `${path}: recordTracePath has no effect: the daemon records with serve --record-trace`,
      );
  }
  const upper = await planUpper(config, path, folder, notes);
  checkLayerCount(lowers.length + (upper ? 1 : 0), { path });
  if (lowers.length === 0 && !upper) {
    throw errorOf(
      'BAD_CONFIG',
      { path },
      `neither lowers nor an upper: nothing to serve${misspelt(json)}`,
    );
  }
  const found = await mapEach([...lowers.entries()], PARALLEL_FILES, ([i, lower]) =>
    findLower(lower, { path, section: `lowers.${i}` }, folder, repository),
  );
  checkRegistryBytes(found, { path });
  const targets = await findTargets(lowers, found, path, folder, repository);
  checkLayerCount(lowers.length + targets.size + (upper ? 1 : 0), { path }, 'layers and targets');
  return { lowers: found, upper, trace, targets: targets.size > 0 ? targets : null, notes };
}

async function planUpper(
  config: ImageConfig,
  path: string,
  folder: string,
  notes: string[],
): Promise<UpperRefs | null> {
  const { index, data, target, gzipIndex } = config.upper;
  if (target !== '' || gzipIndex !== '') {
    throw errorOf(
      'UNSUPPORTED',
      { path, section: 'upper' },
      'an upper of turboOCI is not supported',
    );
  }
  if (index === '' && data === '') return null;
  if (index === '' || data === '') {
    notes.push(`${path}: upper is left out: it needs both index and data, as in the reference`);
    return null;
  }
  return {
    data: fileRef(await locate(data, folder)),
    index: fileRef(await locate(index, folder)),
  };
}

/**
 * The first of the candidates that exists is the layer's file, even if its content is broken. If there is none, the
 * layer is in the repository of the configuration.
 */
async function findLower(
  lower: LowerConfig,
  where: ErrorFacts,
  folder: string,
  repository: () => RepositoryUrl | null,
): Promise<BlobRef> {
  const candidates: string[] = [];
  if (lower.file !== '') candidates.push(await locate(lower.file, folder));
  // Not for an empty dir: the reference would look into the root folder.
  if (lower.dir !== '') {
    const dir = await locate(lower.dir, folder);
    candidates.push(...DIR_CANDIDATES.map((name) => resolve(dir, name)));
  }
  for (const path of candidates) {
    if (await fileExists(path)) return fileRef(path);
  }
  const remote = lower.digest === '' ? null : repository();
  if (remote) return registryRef(lower, where, remote);
  const tried =
    candidates.length === 0 ? 'no file or dir is given' : `tried ${candidates.join(', ')}`;
  const blob = candidates[0] === undefined ? {} : { blob: candidates[0] };
  throw errorOf('NOT_FOUND', { ...where, ...blob }, `the layer is not on disk: ${tried}`);
}

/**
 * The trace of an acceleration layer: upstream's snapshotter unpacks the layer into its `dir`. If that has none, the
 * layer itself. An image opens without it, too.
 * @throws OverlaybdError BAD_CONFIG for the URL of the repository, IO
 */
async function findTrace(
  { dir, digest, size }: LowerConfig,
  folder: string,
  repository: () => RepositoryUrl | null,
): Promise<BlobRef | null> {
  if (dir !== '') {
    const path = resolve(await locate(dir, folder), TRACE_NAME);
    if (await fileExists(path)) return fileRef(path);
  }
  const remote = isSha256(digest) && size > 0 ? repository() : null;
  return remote && { kind: 'registry', ...remote, digest, size };
}

/** @throws OverlaybdError BAD_CONFIG, UNSUPPORTED for a digest of another algorithm */
function registryRef(
  { digest, size }: LowerConfig,
  where: ErrorFacts,
  { host, repository }: RepositoryUrl,
): BlobRef {
  if (!isDigest(digest)) {
    throw noDigest(digest, keyIn(where, 'digest'));
  }
  checkServedDigest(digest, where);
  if (size === 0) {
    const place = { ...keyIn(where, 'size'), digest, got: 0 };
    throw errorOf('BAD_CONFIG', place, '0: a layer in a registry needs the size of its blob');
  }
  return { kind: 'registry', host, repository, digest, size };
}

/** The reference ignores unknown keys. If nothing is left, one of them may be the reason. */
function misspelt(json: string): string {
  const known = ['lowers', 'upper'];
  for (const key of Object.keys(JSON.parse(json.replace(/^\ufeff/, '')) as object)) {
    const near = known.includes(key) ? undefined : closest(key, known);
    if (near !== undefined) {
      return `; it has the key ${quoted(shortened(key, 100))}: did you mean "${near}"?`;
    }
  }
  return '';
}

/** @throws OverlaybdError BAD_CONFIG */
function repositoryOf({ repoBlobUrl }: ImageConfig, path: string): RepositoryUrl | null {
  return repoBlobUrl === ''
    ? null
    : parseRepoBlobUrl(repoBlobUrl, { path, section: 'repoBlobUrl' });
}
