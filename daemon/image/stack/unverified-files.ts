// Files of this machine that an image of layers of files is read from, and whose bytes nothing verifies. The digests of their pieces,
// if they have any, are in these files themselves. So a digest of all their bytes is taken: it tells a copy from another file.

import { createHash } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { closeFile, openPath } from '../../blob/file-jobs.js';
import type { FileSourceSpec } from '../../blob/file-source.js';
import { readInto } from '../../blob/source.js';
import { errorOf } from '../../lib/fault.js';
import type { PooledBlob } from '../plan/blob-pool.js';
import type { ImageBlobs } from '../plan/image-blobs.js';
import type { OpenedLayer } from './open-stack.js';
import type { ImagePlan } from '../plan/plan.js';
import { ReaderFactory } from '../disks/reader-factory.js';

/** Bytes that are read and hashed between two turns of other work: a millisecond. */
const STEP = 1 << 20;

/** Open as long as its image is. */
export interface UnverifiedFile {
  /** The same file opened twice has the same, as long as its content is the same. */
  readonly key: string;
  /** All of it, or the part that the image has. */
  readonly spec: FileSourceSpec;
}

/**
 * The layers, what lies beside them, and devices of EROFS, as far as they are files. A file that has two of these places is
 * listed twice. Not data blobs of RAFS and objects of composefs: a layer has their digests, and each read is checked against them.
 * @param layers of the plan, all of them trees
 * @returns numbers of blobs, in the order of the plan
 */
export async function unverifiedBlobs(
  { lowers, tocBlob, ztocs }: ImagePlan,
  layers: readonly OpenedLayer[],
  files: ImageBlobs,
): Promise<number[]> {
  const beside = [
    ...(tocBlob ? [tocBlob] : []),
    ...[...(ztocs?.values() ?? [])].map(({ ref }) => ref),
  ];
  // They are open already.
  const blobs = [
    ...(await Promise.all(lowers.map((ref) => files.open(ref)))),
    ...(await Promise.all(beside.map((ref) => files.openPlain(ref)))),
    ...layers.flatMap(devicesOf),
  ];
  return blobs.filter(({ raw }) => raw.kind === 'file').map((blob) => files.numberOf(blob));
}

function devicesOf({ content, sources }: OpenedLayer): PooledBlob[] {
  if (content.kind !== 'tree') return [];
  const { needs = [] } = content;
  return sources.flatMap((source, i) => (source && needs[i]?.device ? [source.blob] : []));
}

/** See OpenImage. */
interface ImageOfFiles {
  readonly unverified: readonly UnverifiedFile[];
  readonly closed: () => AbortSignal;
}

/**
 * @param pauseMs between two steps: all else that the thread and the disk have to do comes first
 * @returns SHA-256 of each of them, in hexadecimal; null if the image was closed meanwhile
 * @throws OverlaybdError BAD_FORMAT if one has changed since it was opened; and what reading throws
 */
export async function fileDigests(image: ImageOfFiles, pauseMs: number): Promise<string[] | null> {
  const { unverified, closed } = image;
  const digests = new Map<string, string>();
  try {
    for (const file of unverified) {
      if (digests.has(file.key)) continue;
      const digest = await digestOf(file, closed, pauseMs);
      if (digest === null) return null;
      digests.set(file.key, digest);
    }
  } catch (error) {
    if (closed().aborted) return null;
    throw error;
  }
  return unverified.map(({ key }) => digests.get(key) as string);
}

/** @returns null if the image was closed: from then on its descriptors may be those of other files */
async function digestOf(
  { key, spec }: UnverifiedFile,
  closed: ImageOfFiles['closed'],
  pauseMs: number,
): Promise<string | null> {
  const source = new ReaderFactory().source(spec);
  const hash = createHash('sha256');
  const bytes = Buffer.alloc(Math.min(STEP, source.size));
  for (let at = 0; at < source.size; at += STEP) {
    // oxlint-disable-next-line no-await-in-loop
    await pause(pauseMs, undefined, { ref: false });
    if (closed().aborted) return null;
    const step = bytes.subarray(0, Math.min(STEP, source.size - at));
    // oxlint-disable-next-line no-await-in-loop
    await readInto(source, at, step);
    hash.update(step);
  }
  if (closed().aborted) return null;
  const { fd, identity } = await openPath(`/proc/self/fd/${spec.fd}`);
  closeFile(fd);
  if (closed().aborted) return null;
  if (` ${key} `.includes(` ${identity} `)) return hash.digest('hex');
  throw errorOf('BAD_FORMAT', { blob: spec.name }, 'it changed while it was read');
}
