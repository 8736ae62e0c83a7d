// What an opening of an image does about an error that wrong bytes of a registry, of a mirror or of the cache may have caused.

import { messageOf } from '../../errors.js';
import { attempt, type Effort } from '../../lib/effort.js';
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

/**
 * Opens the layers of an image, and reads in them what only is read once all are open: indexes, merged trees. If that fails, what was
 * read of them may be wrong: it is fetched again, and they are opened again, once. What `open` throws is thrown: openLower() has tried
 * the same.
 * @param files that the layers are opened from
 */
export async function withSecondTry<L, R>(
  files: { readonly all: readonly Pick<PooledBlob, 'refetch'>[] },
  effort: Effort,
  open: (effort: Effort) => Promise<L>,
  read: (layers: L, effort: Effort) => Promise<R>,
): Promise<R> {
  const first = attempt(effort);
  let isReading = false;
  const work = async (own: Effort): Promise<R> => {
    const layers = await open(own);
    isReading = true;
    return read(layers, own);
  };
  try {
    return await work(first.effort);
  } catch (error) {
    if (!isReading || !(await fetchedAgain(files.all, error))) throw error;
  }
  // The first layers are in no variable any more.
  first.giveBack();
  return work(effort);
}
