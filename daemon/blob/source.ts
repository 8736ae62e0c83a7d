// The interface of the blobs that disks are made of: files, devices, cached blobs of
// registries, slices, filled ones, ZFiles, pieces and objects. Only the interface; implementations are beside it and in the folders of
// the formats.

import { OverlaybdError, formatError } from '../errors.js';
import type { DataRuns, FileRange, RandomAccess } from '../lib/disk.js';
import { readLoaded } from '../lib/loaded.js';

/** The bytes of a blob; the rule for reading them is that of every RandomAccess. */
export interface BlobSource extends RandomAccess {
  /** For messages: the path or digest, and the wrappers that were removed so far. */
  readonly name: string;
  /** Whether nothing ever needs a network: `ensure` then always returns `null` and need not be called. */
  readonly isLocal: boolean;

  /**
   * Puts exactly `length` bytes from `offset` into `dst` at `at`. Makes no object.
   * @returns false, with `dst` in any state, when the bytes are not at hand
   * @throws OverlaybdError if the bytes cannot be read: SHORT_READ, IO, BAD_CHECKSUM, BAD_DATA
   */
  read(offset: number, length: number, dst: Uint8Array, at: number): boolean;

  /**
   * Finds the file that holds the range, in one piece and as it is. It does not check whether the range
   * can be read there: when it cannot, `read` says why.
   * @returns false, with `into` in any state, when no file does; a source without the method has no files
   */
  locate?(offset: number, length: number, into: FileRange): boolean;

  /**
   * Says that bytes that `read` gave break a checksum.
   * @returns true if other bytes may come: until `ensure` has fetched them, `read` returns false. A source without the
   *   method has these bytes only
   */
  distrust?(offset: number, length: number): boolean;

  /**
   * Where a range holds data, by offsets in this source: at least in its beginning. A source without
   * this has no holes.
   * @returns null if that cannot be known, so that all is data
   * @throws OverlaybdError SHORT_READ if the file was cut since it was opened, IO
   */
  dataRuns?(offset: number, length: number): Promise<DataRuns | null>;
}

/**
 * Bytes that are read at a time. A source that decodes its bytes keeps a bounded number of them: less than a long range may
 * have.
 */
const STEP_SIZE = 1 << 20;

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
  // All that is missing is fetched at once. A range of one step is, anyway.
  if (length > STEP_SIZE) await source.ensure(offset, length);
  for (let at = 0; at < length; at += STEP_SIZE) {
    const from = offset + at;
    const n = Math.min(STEP_SIZE, length - at);
    await readLoaded(source, from, n, () => source.read(from, n, bytes, at));
  }
}

/**
 * For a source that is read as a whole.
 * @param section for the message
 * @throws OverlaybdError LIMIT if it has more than `most` bytes
 */
export function checkSize(
  { name: blob, size }: Pick<BlobSource, 'name' | 'size'>,
  most: number,
  section: string,
): void {
  if (size <= most) return;
  const expected = `at most ${most} bytes`;
  throw formatError({ blob, section, offset: 0, expected, got: size, code: 'LIMIT' });
}

function checkRange(source: BlobSource, offset: number, length: number): void {
  if (offset >= 0 && offset + length <= source.size) return;
  throw new OverlaybdError(
    'SHORT_READ',
    `${source.name}: bytes ${offset}+${length} are past its end at ${source.size}`,
    { facts: { blob: source.name, offset } },
  );
}
