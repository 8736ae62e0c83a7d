// Archives of turboOCI layers of images. They say how their targets are read, so each is compared with its digest before its
// wrappers are removed, and once in an opening.

import { verifyStored } from '../formats/verified-blob.js';
import type { OpenTools, Unwrapped } from '../formats/format.js';
import { recordKeyOf } from '../formats/layer-record.js';
import { cachedOf } from '../disks/spec.js';
import type { PooledBlob } from '../plan/blob-pool.js';

/**
 * @returns what is in the archive, read after it was compared
 * @throws OverlaybdError BAD_CHECKSUM, and what reading it and removing its wrappers throw
 */
export async function comparedArchive(
  blob: PooledBlob,
  digest: string,
  tools: OpenTools,
): Promise<Unwrapped> {
  const recordKey = (ofSmall = false): ReturnType<typeof recordKeyOf> => recordKeyOf(blob, ofSmall);
  await verifyStored(blob.raw, digest, { recordKey }, tools);
  const { effort, sink } = tools;
  // What was read of a registry before may have been other bytes.
  return cachedOf(blob.raw) ? blob.reopen(effort, sink) : blob.content(effort, sink);
}
