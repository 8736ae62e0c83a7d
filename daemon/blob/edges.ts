// The first and the last bytes of a blob: all that most formats need to be recognized and opened. They
// are read once, in two reads, and every format gets its bytes from there.

import { readFully, type BlobSource } from './source.js';

/** Room for a tar header with its pax records, a ZFile header, and the longest block after them. */
export const HEAD_SIZE = 72 << 10;
/** Jump table, index and trailers of nearly all layers lie in this part of them, an nth. */
const TAIL_SHARE = 192;
export const MIN_TAIL_SIZE = 64 << 10;
export const MAX_TAIL_SIZE = 128 << 10;
const TAIL_STEP = 4 << 10;
/** Of a blob in a registry: {@link remoteTail}. */
const MIN_REMOTE_TAIL = 128 << 10;
const MAX_REMOTE_TAIL = 8 << 20;
/** A blob up to this size is read at once. */
export const WHOLE_SIZE = 192 << 10;

/** Both are all of a small blob, and then the same bytes. */
export interface Edges {
  /** From the beginning of the blob. */
  readonly head: Buffer;
  /** Up to the end of the blob. */
  readonly tail: Buffer;
}

/**
 * Bytes at the end of a blob in a registry that opening it needs. They are fetched together, and stay in the cache
 * while the blob is open.
 */
export function remoteTail(size: number): number {
  const share = Math.ceil(size / TAIL_SHARE);
  return Math.min(Math.max(share, MIN_REMOTE_TAIL), MAX_REMOTE_TAIL, size);
}

/** @throws OverlaybdError what the source throws */
export async function readEdges(source: BlobSource): Promise<Edges> {
  const { size } = source;
  if (size <= WHOLE_SIZE) {
    const whole = await readFully(source, 0, size);
    return { head: whole, tail: whole };
  }
  const share = Math.ceil(size / TAIL_SHARE / TAIL_STEP) * TAIL_STEP;
  const length = Math.min(Math.max(share, MIN_TAIL_SIZE), MAX_TAIL_SIZE);
  const head = (): Promise<Buffer> => readFully(source, 0, HEAD_SIZE);
  const tail = (): Promise<Buffer> => readFully(source, size - length, length);
  if (source.isLocal) return { head: await head(), tail: await tail() };
  // Over a network, head and tail take one round trip together. The opening may need more of the tail: those bytes are
  // asked for at the same time, so that the later read only waits for them. If they fail, that read reports it.
  const wanted = remoteTail(size);
  source.ensure(size - wanted, wanted)?.catch(() => undefined);
  const [first, last] = await Promise.all([head(), tail()]);
  return { head: first, tail: last };
}
