// The exports in the status: served ones, and the others with the reason.

import type {
  CacheSummary,
  DaemonStatus,
  ExportStatus,
  OpeningStatus,
  RemoteStatus,
} from '../control/api.js';
import type { BlobStatus, FetchStatus } from '../fetch/status.js';
import { digestsOf } from '../image/disks/spec.js';
import { describeBlobs } from '../image/plan/image-source.js';
import { counted } from '../lib/counted.js';
import { retryDelayMs } from '../image/problem.js';
import type { ImageTable } from '../image/table.js';

/** Hosts that a status names. */
const MOST_HOSTS = 16;

export function exportStatuses(
  images: ImageTable,
  fetch: FetchStatus | null = null,
  isAdded: (name: string) => boolean = () => false,
): ExportStatus[] {
  const blobs = new Map(fetch?.blobs.map((blob) => [blob.digest, blob]));
  const served = [...images.exports].map(([name, { name: of, image }]): ExportStatus => {
    const { description, size } = image;
    const remote = remoteStatus(digestsOf(image.disk), blobs);
    const added = isAdded(name);
    return { name, state: 'served', image: of, description, size, problem: null, remote, added };
  });
  const failed = [...images.failed].map(([name, { source, problem, isOpening }]): ExportStatus => {
    const image = describeBlobs(source.blobs);
    const retrySeconds = retryDelayMs(problem) / 1000;
    const { code, message, facts = {}, since, tries } = problem;
    return {
      name,
      state: isOpening ? 'opening' : 'failed',
      image,
      description: '',
      size: 0,
      problem: { code, message, facts, since, tries, retrySeconds },
      remote: null,
      added: isAdded(name),
    };
  });
  return [...served, ...failed];
}

function remoteStatus(
  digests: readonly string[],
  known: ReadonlyMap<string, BlobStatus>,
): RemoteStatus | null {
  const blobs = [...new Set(digests)].flatMap((digest) => known.get(digest) ?? []);
  if (blobs.length === 0) return null;
  const sum = (of: (blob: BlobStatus) => number): number =>
    blobs.reduce((total, blob) => total + of(blob), 0);
  return {
    bytes: sum(({ size }) => size),
    cachedBytes: Math.round(sum(({ size, present }) => size * present)),
    hits: sum(({ hits }) => hits),
    misses: sum(({ misses }) => misses),
    waiting: sum(({ waiting }) => waiting),
    lastError: blobs.find(({ lastError }) => lastError !== null)?.lastError ?? null,
  };
}

export function cacheSummary({ cache, registries }: FetchStatus): CacheSummary {
  const { folder, bytes, limit, degraded } = cache;
  const unreachable = registries
    .filter(({ breaker }) => breaker !== 'closed')
    .slice(0, MOST_HOSTS)
    .map(({ host, lastError }) => ({ host, lastError }));
  return { folder, bytes, limit, degraded, unreachable };
}

/** The openings that read layers as a whole, of exports and of devices. */
export function openingStatuses({ openings }: Pick<ImageTable, 'openings'>): OpeningStatus[] {
  return [...openings].map(([{ blobs }, progress]) => ({
    image: describeBlobs(blobs),
    ...progress,
  }));
}

/** How many exports there are in each state. */
export function imageCounts({ exports, failed }: ImageTable): DaemonStatus['images'] {
  const opening = [...failed.values()].filter(({ isOpening }) => isOpening).length;
  return { served: exports.size, opening, failed: failed.size - opening };
}

/** "3 exports", "3 exports (1 more failed)". */
export function exportCounts(images: ImageTable): string {
  const { served, opening, failed } = imageCounts(images);
  const others = [
    ...(opening > 0 ? [`${opening} more being opened`] : []),
    ...(failed > 0 ? [`${failed} more failed`] : []),
  ];
  return `${counted(served, 'export')}${others.length > 0 ? ` (${others.join(', ')})` : ''}`;
}
