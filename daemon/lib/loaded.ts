// Reading what may have to be loaded first, and may be gone again by then: how often that is tried.

import { OverlaybdError } from '../errors.js';

/** What bytes are read from, once they are here. */
interface Loadable {
  readonly name?: string;
  ensure(offset: number, length: number): Promise<void> | null;
  load(offset: number, length: number): Promise<void>;
}

/** So often bytes are loaded for one read before it fails: memory must be very short by then. */
export const MAX_LOADS = 8;

/** Bytes that were loaded {@link MAX_LOADS} times and were gone again before they could be read. */
export function loadedInVain(name: string, offset: number, length: number): OverlaybdError {
  const what = `${name}: read of ${length} bytes at ${offset}`;
  const why = 'they were loaded and left memory again before they could be read';
  return new OverlaybdError(
    'IO',
    `${what}: ${why}, ${MAX_LOADS} times; the machine is short of memory`,
  );
}

/**
 * Reads with all the waiting that it takes.
 * @param read as `source.read` of that range
 * @throws OverlaybdError what `source` throws
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
