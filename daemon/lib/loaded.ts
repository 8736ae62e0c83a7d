// Reads bytes that may have to be fetched or loaded first, and may be gone again before they are read.
// Bounds how often a read tries.

import { OverlaybdError, type ErrorFacts } from '../errors.js';
import type { RandomAccess } from './disk.js';

type Waitable = Pick<RandomAccess, 'ensure' | 'load'> & { readonly name?: string };

/** Waits for the bytes of one read before that read fails. By then memory or cache must be very short. */
export const MAX_WAITS = 8;

/**
 * The error of a read whose bytes were gone again after each of {@link MAX_WAITS} waits.
 * @param facts of what `name` names
 */
export function goneAgain(
  name: string,
  offset: number,
  length: number,
  facts: ErrorFacts = {},
): OverlaybdError {
  const what = `${name}: read of ${length} bytes at ${offset}`;
  const why = 'the bytes came, but were evicted again before they could be read';
  return new OverlaybdError(
    'IO',
    `${what}: ${why}, ${MAX_WAITS} times; the machine is short of memory, or the cache is too small`,
    { facts },
  );
}

/**
 * Waits for a range after `read` returned false: fetches what a cache does not have (any more), else
 * has the disk load it.
 * @throws OverlaybdError what `source` throws
 */
export function fetchOrLoad(source: Waitable, offset: number, length: number): Promise<void> {
  return source.ensure(offset, length) ?? source.load(offset, length);
}

/**
 * Reads a range with all the waiting that it takes, again if the bytes are gone in between.
 * @param read calls `source.read` for that range
 * @throws OverlaybdError what `source` throws, and IO after {@link MAX_WAITS} waits
 */
export async function readLoaded(
  source: Waitable,
  offset: number,
  length: number,
  read: () => boolean,
): Promise<void> {
  await source.ensure(offset, length);
  for (let waits = 0; !read(); waits++) {
    if (waits === MAX_WAITS) {
      const { name } = source;
      throw goneAgain(
        name ?? 'disk',
        offset,
        length,
        name === undefined ? {} : { blob: name, offset },
      );
    }
    await fetchOrLoad(source, offset, length);
  }
}
