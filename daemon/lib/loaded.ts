// Reads bytes that may have to be loaded first and may leave memory again before they are read. Bounds
// how often a read tries.

import { OverlaybdError } from '../errors.js';

/** A source whose bytes may have to be loaded before they can be read. */
interface Loadable {
  readonly name?: string;
  ensure(offset: number, length: number): Promise<void> | null;
  load(offset: number, length: number): Promise<void>;
}

/** Loads of one range before its read fails. By then the machine must be very short of memory. */
export const MAX_LOADS = 8;

/** The error of a read whose bytes left memory again after each of {@link MAX_LOADS} loads. */
export function loadedInVain(name: string, offset: number, length: number): OverlaybdError {
  const what = `${name}: read of ${length} bytes at ${offset}`;
  const why = 'they were loaded and left memory again before they could be read';
  return new OverlaybdError(
    'IO',
    `${what}: ${why}, ${MAX_LOADS} times; the machine is short of memory`,
  );
}

/**
 * Loads a range and reads it, again if the bytes have left memory in between.
 * @param read calls `source.read` for that range
 * @throws OverlaybdError what `source` throws, and IO after {@link MAX_LOADS} loads
 */
export async function readLoaded(
  source: Loadable,
  offset: number,
  length: number,
  read: () => boolean,
): Promise<void> {
  await source.ensure(offset, length);
  for (let loads = 0; !read(); loads++) {
    if (loads === MAX_LOADS) throw loadedInVain(source.name ?? 'device', offset, length);
    await source.load(offset, length);
  }
}
