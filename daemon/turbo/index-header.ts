// Parses and checks the header of turboOCI's gzip index ("turboOCI" in docs/formats.md). Pure. All numbers are
// little-endian, and signed in the reference; here a negative one is far above its limit.

import { MAX_BLOB_BYTES } from '../blob/chunk-map.js';
import { formatError } from '../errors.js';
import { hex32, hexOf, u64Exact, u64le, viewOf } from '../lib/bytes.js';
import { crc32c } from '../native/crc32c.js';
import { MAX_PLAIN_BYTES } from '../inflate/limits.js';
import { MAX_CHECKPOINTS } from './limits.js';

/** Bytes of a header: the struct is packed. */
export const INDEX_HEADER_SIZE = 333;
/** Bytes of a checkpoint. */
export const CHECKPOINT_SIZE = 29;
/** Bytes in front of a checkpoint that its stream may refer back to. */
export const WINDOW_SIZE = 32_768;

const MAGIC = Buffer.from('ddgzidx\0', 'latin1');
const MAJOR_VERSION = 1;
/** How windows and checkpoints are stored. */
const ALGORITHMS = ['raw', 'zlib'] as const;

/** Offsets of the fields in bytes. */
const INDEX_FIELD = {
  magic: 0,
  major: 8,
  algorithm: 10,
  window: 17,
  checkpointSize: 21,
  count: 25,
  gzipSize: 33,
  indexSize: 41,
  plainSize: 49,
  areaBegin: 313,
  areaSize: 321,
  crc: 329,
} as const;

export interface IndexHeader {
  readonly algorithm: (typeof ALGORITHMS)[number];
  /** Checkpoints. */
  readonly count: number;
  /** Bytes of the gzip blob. */
  readonly gzipSize: number;
  /** Bytes of what the gzip blob inflates to. */
  readonly plainSize: number;
  /** Byte offset of the checkpoints in the index; they end with it. */
  readonly areaBegin: number;
}

/** What there is: the sizes in the header must be the same. */
export interface IndexedSizes {
  /** Bytes of the index. */
  readonly index: number;
  /** Bytes of the gzip blob; null: not known, so that what the header says is a claim. */
  readonly gzip: number | null;
}

/**
 * @param bytes the index, or as much as there is of it
 * @param blob its name, for messages
 * @throws OverlaybdError BAD_FORMAT, BAD_CHECKSUM, LIMIT
 */
export function parseIndexHeader(bytes: Buffer, blob: string, sizes: IndexedSizes): IndexHeader {
  const bad = (offset: number, what: string, expected: string, got: string | bigint): never => {
    throw formatError({ blob, section: `gzip index ${what}`, offset, expected, got });
  };
  if (bytes.length < INDEX_HEADER_SIZE) {
    bad(0, 'header', `${INDEX_HEADER_SIZE} bytes`, `${bytes.length}`);
  }
  const view = viewOf(bytes);
  const magic = bytes.subarray(0, MAGIC.length);
  if (!magic.equals(MAGIC)) bad(INDEX_FIELD.magic, 'magic', hexOf(MAGIC), hexOf(magic));
  const expected = crc32c(bytes, 0, INDEX_FIELD.crc, 0);
  const crc = view.getUint32(INDEX_FIELD.crc, true);
  if (crc !== expected) {
    const section = 'gzip index header';
    const offset = INDEX_FIELD.crc;
    const code = 'BAD_CHECKSUM';
    const got = hex32(crc);
    throw formatError({ blob, section, offset, expected: hex32(expected), got, code });
  }
  const number = (field: number, what: string, least: number, most: number): number => {
    const value = u64le(view, field);
    if (value >= least && value <= most) return value;
    const range = least === most ? `${least}` : `${least} to ${most}`;
    return bad(field, what, range, u64Exact(view, field));
  };
  const major = bytes[INDEX_FIELD.major] as number;
  if (major !== MAJOR_VERSION) {
    bad(INDEX_FIELD.major, 'version', `${MAJOR_VERSION}`, `${major}`);
  }
  const algorithm = ALGORITHMS[bytes[INDEX_FIELD.algorithm] as number];
  if (algorithm === undefined) {
    const got = `${bytes[INDEX_FIELD.algorithm] as number}`;
    return bad(INDEX_FIELD.algorithm, 'compression of windows', '0 (none) or 1 (zlib)', got);
  }
  for (const [field, what, size] of [
    [INDEX_FIELD.window, 'window size', WINDOW_SIZE],
    [INDEX_FIELD.checkpointSize, 'checkpoint size', CHECKPOINT_SIZE],
  ] as const) {
    const got = view.getInt32(field, true);
    if (got !== size) bad(field, what, `${size}`, `${got}`);
  }
  const count = number(INDEX_FIELD.count, 'number of checkpoints', 1, MAX_CHECKPOINTS);
  const gzipSize = number(
    INDEX_FIELD.gzipSize,
    'size of the gzip blob',
    sizes.gzip ?? 1,
    sizes.gzip ?? MAX_BLOB_BYTES,
  );
  number(INDEX_FIELD.indexSize, 'size of the index', sizes.index, sizes.index);
  const plainSize = number(INDEX_FIELD.plainSize, 'plain size', 1, MAX_PLAIN_BYTES);
  const areaBegin = number(INDEX_FIELD.areaBegin, 'area', INDEX_HEADER_SIZE, sizes.index);
  const areaSize = sizes.index - areaBegin;
  number(INDEX_FIELD.areaSize, 'size of the area', areaSize, areaSize);
  return { algorithm, count, gzipSize, plainSize, areaBegin };
}
