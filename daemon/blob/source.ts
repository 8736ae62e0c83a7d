// The interface of everything that bytes are read from: files, devices, slices, ZFiles, and later
// cached registry blobs. Only the interface; implementations are beside it and in zfile/.

import { OverlaybdError } from '../errors.js';
import type { FileRange } from '../lib/file-range.js';
import { readLoaded } from '../lib/loaded.js';

/**
 * Random access to immutable bytes.
 *
 * The one rule of the data path: reading is synchronous, availability is asynchronous. A reader
 * calls `ensure` first; `null` means that nothing has to be fetched over a network. Then it calls
 * `read`, which never waits; `false` means that a local disk would have to be waited for, and `load`
 * does that waiting on another thread. Then `read` again: it may be false again, because what was
 * loaded may have had to make room, and whoever asks too often gives up (lib/loaded.ts).
 */
export interface BlobSource {
  /** For messages: the path or digest, and the wrappers peeled so far. */
  readonly name: string;
  /** Size in bytes. */
  readonly size: number;
  /** Whether nothing ever needs a network: `ensure` is then always `null`, and need not be asked. */
  readonly isLocal: boolean;

  /** `null` when the range needs no network, else a promise that resolves when it is here. */
  ensure(offset: number, length: number): Promise<void> | null;

  /**
   * Puts exactly `length` bytes from `offset` into `dst` at `dstOffset`.
   * @returns false, with `dst` in any state, when a disk must be waited for
   * @throws OverlaybdError when the bytes cannot be had: SHORT_READ, IO, BAD_CHECKSUM, BAD_DATA
   */
  read(dst: Uint8Array, dstOffset: number, length: number, offset: number): boolean;

  /**
   * Where the range is in a file, if it is there in one piece and as it is. Whether it can be read
   * there is not asked: when it cannot, `read` says why.
   * @returns false, with `into` in any state, when it is not
   */
  locate?(offset: number, length: number, into: FileRange): boolean;

  /**
   * Waits, without holding this thread, until the range is at hand.
   * @throws OverlaybdError SHORT_READ or IO when that cannot be, or takes longer than the deadline
   */
  load(offset: number, length: number): Promise<void>;

  /**
   * Has the system begin to read a range, without memory of ours, and does not wait for its bytes.
   * @throws OverlaybdError IO
   */
  prefetch(offset: number, length: number): Promise<void>;
}

/**
 * Reads a range for the control plane, which may wait.
 * @throws OverlaybdError SHORT_READ when the source ends before the range does
 */
export async function readFully(
  source: BlobSource,
  offset: number,
  length: number,
): Promise<Buffer> {
  checkRange(source, offset, length);
  const bytes = Buffer.allocUnsafeSlow(length);
  await readInto(source, offset, bytes);
  return bytes;
}

/**
 * The same into memory that is there, all of it.
 * @throws OverlaybdError SHORT_READ when the source ends before the range does
 */
export async function readInto(source: BlobSource, offset: number, bytes: Buffer): Promise<void> {
  const { length } = bytes;
  checkRange(source, offset, length);
  await readLoaded(source, offset, length, () => source.read(bytes, 0, length, offset));
}

function checkRange(source: BlobSource, offset: number, length: number): void {
  if (offset >= 0 && offset + length <= source.size) return;
  throw new OverlaybdError(
    'SHORT_READ',
    `${source.name}: bytes ${offset}+${length} are past its end at ${source.size}`,
  );
}
