// Tells whether the image that a name stands for now is the one that a device was attached with: a hash
// over every blob's size, head and tail. The tail of a sealed layer names its index and that of a ZFile its
// jump table with its checksum, so a layer that was built again differs, and one that was copied or
// fetched again does not. Not a check of the contents: that is `verify`.

import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { PARALLEL_FILES } from '../../lib/effort.js';
import { keyOfRef, registryRefOf } from '../../blob/blob-ref.js';
import { mapEach } from '../../lib/gate.js';
import type { TocDigests } from '../../registry/toc-annotations.js';
import type { PooledBlob } from '../plan/blob-pool.js';
import type { ImageBlobs } from '../plan/image-blobs.js';
import type { ImagePlan } from '../plan/plan.js';

/**
 * Bytes of head and tail that are hashed; they are within the edges. Records of attached devices hold the
 * hash: another size would make every image a different one.
 */
const SAMPLE_SIZE = 8192;

export interface ImageMarks {
  readonly fingerprint: string;
  /** The very same blobs, unchanged, as far as the system tells: what may be shared while it is open. */
  readonly identity: string;
}

/** @throws OverlaybdError if a blob cannot be opened or read */
export async function marksOf(plan: ImagePlan, files: ImageBlobs): Promise<ImageMarks> {
  const opened = [
    ...plan.lowers.map((ref) => () => files.open(ref)),
    ...(plan.upper ? [plan.upper.index, plan.upper.data] : []).map(
      (ref) => () => files.openPlain(ref),
    ),
  ];
  const targets = plan.lowers.flatMap((ref) => plan.targets?.get(keyOfRef(ref)) ?? []);
  for (const { target, gzipIndex } of targets) {
    if (target.kind !== 'unsized') opened.push(() => files.openPlain(target));
    if (gzipIndex && gzipIndex !== 'in layer') opened.push(() => files.openPlain(gzipIndex));
  }
  const samples = await mapEach(opened, PARALLEL_FILES, async (open) => sampleOf(await open()));
  const hash = createHash('sha256');
  for (const { size, head, tail } of samples) hash.update(`${size}\n`).update(head).update(tail);
  const tocs = plan.lowers.map((ref) => tocText(plan.tocs?.get(keyOfRef(ref))));
  // Its digest says what it is.
  const unsized = targets.flatMap(({ target }) =>
    target.kind === 'unsized' ? [target.digest] : [],
  );
  for (const digest of unsized) hash.update(`target ${digest}\n`);
  // Blobs that were opened with another table of contents, or with one that nothing verified, are not the same image.
  if (plan.tocs) hash.update(tocs.join('\n'));
  const tocBlob = plan.tocBlob ? await sampleOf(await files.openPlain(plan.tocBlob)) : null;
  if (tocBlob) hash.update(`${tocBlob.size}\n`).update(tocBlob.head).update(tocBlob.tail);
  const ztocs = await mapEach([...(plan.ztocs?.values() ?? [])], PARALLEL_FILES, async ({ ref }) =>
    sampleOf(await files.openPlain(ref)),
  );
  for (const { size, head, tail } of ztocs) hash.update(`${size}\n`).update(head).update(tail);
  if (plan.layer !== undefined) hash.update('layer alone');
  return {
    fingerprint: hash.digest('hex'),
    identity: [
      ...samples.map(({ key }) => key),
      ...(plan.tocs ? tocs : []),
      ...unsized.map((digest) => `target ${digest}`),
      ...(plan.layer === undefined ? [] : ['layer alone']),
      // Not in the fingerprint: the bytes are the same. But a caller without the flag must get the checks.
      ...(plan.insecureToc ? ['insecure toc'] : []),
      ...(tocBlob ? [`toc blob ${tocBlob.key}`] : []),
      ...[...(plan.ztocs ?? [])].map(
        ([layer, { digest }], i) => `ztoc ${ztocs[i]?.key ?? ''} ${digest ?? '-'} of ${layer}`,
      ),
      // The same: a caller with digests must get their checks.
      ...[...(plan.digests?.values() ?? [])].map(
        ({ blob, plain }) => `digests ${blob ?? '-'} ${plain ?? '-'}`,
      ),
      // Its digests say what objects must be, wherever they are: the fingerprint has no path.
      ...(plan.objects === undefined ? [] : [`objects ${plan.objects}`]),
      ...(plan.dataBlobs
        ? [`data blobs ${await placeOf(plan.dataBlobs.folder)} ${plan.dataBlobs.bootstrap ?? '-'}`]
        : []),
    ].join(' '),
  };
}

/** What tells a blob that nothing verifies from another one. @returns a SHA-256 in hexadecimal */
export async function sampleDigest(blob: PooledBlob): Promise<string> {
  const { size, head, tail } = await sampleOf(blob);
  return createHash('sha256').update(`${size}\n`).update(head).update(tail).digest('hex');
}

/**
 * The marks of an image with the blobs that were found when its layers were opened. The identity stays: it is compared before
 * anything is opened.
 * @param seeds what tells these blobs from others
 */
export function withSeeds(marks: ImageMarks, seeds: readonly string[]): ImageMarks {
  if (seeds.length === 0) return marks;
  const hash = createHash('sha256').update(seeds.join('\n')).digest('hex');
  return { ...marks, fingerprint: `${marks.fingerprint} with ${hash}` };
}

function tocText(toc: TocDigests | undefined): string {
  return `toc ${toc?.json ?? '-'} ${toc?.manifest ?? '-'}`;
}

/**
 * What the UUID of a file system comes from that is made of the image's layers: their digests, if all have one, or else
 * the fingerprint. Every host gets the same.
 */
export function uuidSeedOf({ lowers, layer }: ImagePlan, { fingerprint }: ImageMarks): string[] {
  const digests = lowers.flatMap((ref) => registryRefOf(ref)?.digest ?? []);
  const seed = digests.length === lowers.length ? digests : [fingerprint];
  return layer === undefined ? seed : [...seed, 'layer alone'];
}

/** A folder or file in which blobs are, as it is now: it changes if a file in it is replaced. */
async function placeOf(path: string | null): Promise<string> {
  if (path === null) return 'in the manifest';
  const found = await stat(path, { bigint: true }).catch(() => null);
  return found
    ? `in ${path} ${found.dev} ${found.ino} ${found.size} ${found.mtimeNs}`
    : `in ${path}`;
}

interface Sample {
  readonly key: string;
  readonly size: number;
  readonly head: Buffer;
  readonly tail: Buffer;
}

async function sampleOf(blob: PooledBlob): Promise<Sample> {
  const { head, tail } = await blob.edges();
  return {
    key: blob.key,
    size: blob.size,
    head: head.subarray(0, SAMPLE_SIZE),
    tail: tail.subarray(Math.max(tail.length - SAMPLE_SIZE, 0)),
  };
}
