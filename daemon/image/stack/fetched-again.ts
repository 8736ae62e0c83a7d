// What an opening of an image does about an error that wrong bytes of a registry, of a mirror or of the cache may have caused.

import { messageOf } from '../../errors.js';
import { withFacts } from '../../lib/fault.js';
import { maybeDamage } from '../formats/maybe-damage.js';
import type { PooledBlob } from '../plan/blob-pool.js';

/**
 * Fetches what was read of blobs once more, from the registry itself. If that fails, the error says so as one of its facts: it is
 * still what is wrong with the image.
 * @param blobs that may have caused the error
 * @returns whether it is worth to open again: once, because the bytes are the registry's own then
 */
export async function fetchedAgain(
  blobs: readonly Pick<PooledBlob, 'refetch'>[],
  error: unknown,
): Promise<boolean> {
  if (!maybeDamage(error)) return false;
  const fetched = await Promise.allSettled(blobs.map((blob) => blob.refetch()));
  if (fetched.some((each) => each.status === 'fulfilled' && each.value)) return true;
  const failed = fetched.find((each) => each.status === 'rejected');
  if (failed) withFacts(error, { refetch: messageOf(failed.reason) });
  return false;
}
