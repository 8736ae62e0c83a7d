// What an opening of an image does about an error that wrong bytes of a registry, of a mirror or of the cache may have caused.

import { maybeDamage } from '../formats/maybe-damage.js';
import type { PooledBlob } from '../plan/blob-pool.js';

/**
 * Fetches what was read of blobs once more, from the registry itself.
 * @param blobs that may have caused the error
 * @returns whether it is worth to open again: once, because the bytes are the registry's own then
 * @throws OverlaybdError if the registry does not answer
 */
export async function fetchedAgain(
  blobs: readonly Pick<PooledBlob, 'refetch'>[],
  error: unknown,
): Promise<boolean> {
  if (!maybeDamage(error)) return false;
  try {
    const fetched = await Promise.all(blobs.map((blob) => blob.refetch()));
    return fetched.includes(true);
  } catch (failure) {
    // They are the registry's own, and were fetched again a moment ago: the first error says what is wrong with them.
    if (maybeDamage(failure)) return false;
    throw failure;
  }
}
