// The target of a turboOCI layer: the ordinary layer whose plain bytes the layer's index maps ranges of.

import type { BlobRef } from '../blob/blob-ref.js';
import { readFully, type BlobSource } from '../blob/source.js';
import { OverlaybdError } from '../errors.js';
import { readGzipIndex } from '../turbo/gzip-index.js';
import type { PooledBlob } from './blob-pool.js';
import { isArchiveBegin, isGzip } from './archives.js';
import type { OpenTools } from './formats.js';
import type { ImageBlobs } from './image-blobs.js';
import type { AroundSpec } from './spec.js';

/** What a plan says of a target. */
export interface TargetRefs {
  /** An archive of files, plain or in gzip. */
  readonly target: BlobRef;
  /** From where the target can be inflated; null: it is plain. */
  readonly gzipIndex: BlobRef | null;
}

export interface OpenedTarget {
  readonly blob: PooledBlob;
  readonly indexBlob: PooledBlob | null;
  /** A source of the plain bytes around that of the blob; null: the blob has them. */
  readonly around: AroundSpec | null;
  /** Of the plain bytes, for this thread, while the image is opened. */
  readonly source: BlobSource;
}

/** Bytes that are looked at to see what a target is. */
const HEAD_SIZE = 1024;

/**
 * @throws OverlaybdError BAD_FORMAT or UNSUPPORTED for a target that does not fit its index, what the index is refused
 *   for, and what opening the blobs throws
 */
export async function openTarget(
  { target, gzipIndex }: TargetRefs,
  files: ImageBlobs,
  { effort, readers }: Pick<OpenTools, 'effort' | 'readers'>,
): Promise<OpenedTarget> {
  const blob = await files.openPlain(target);
  const { source } = await blob.content(effort);
  const { name, size } = source;
  const head = await readFully(source, 0, Math.min(size, HEAD_SIZE));
  if (!gzipIndex) {
    if (isArchiveBegin(head)) return { blob, indexBlob: null, around: null, source };
    const message = isGzip(head)
      ? 'in gzip, and there is no gzip index for it'
      : 'neither an archive of files nor one in gzip';
    throw new OverlaybdError('UNSUPPORTED', `${name}: the target of a turboOCI layer: ${message}`);
  }
  if (!isGzip(head)) {
    const message = `${name}: the target of a turboOCI layer: not in gzip, and it has a gzip index`;
    throw new OverlaybdError('BAD_FORMAT', message);
  }
  const indexBlob = await files.openPlain(gzipIndex);
  const { source: index } = await indexBlob.content(effort);
  const table = await readGzipIndex(index, source, effort);
  const around = { kind: 'pieces', name: `${name} (inflated)`, table } as const;
  return { blob, indexBlob, around, source: readers.source({ ...around, of: blob.raw }) };
}
