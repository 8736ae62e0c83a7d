// Opens a writable layer (upper) for reading: append-only (a data and an index file) or sparse (one
// file, whose holes are its index). Never writes, even where the reference repairs headers. See
// "Uppers" in docs/formats.md.

import { formatError, throwProblem } from '../errors.js';
import { findDataExtents } from '../blob/data-extents.js';
import { readFully, type BlobSource } from '../blob/source.js';
import type { Effort } from '../lib/effort.js';
import { entriesIn } from './entry-log.js';
import {
  FIRST_DATA_SECTOR,
  INDEX_ENTRY_SIZE,
  LSMT_FIELD,
  LSMT_FLAG,
  LSMT_HEADER_SIZE,
  MAX_UPPER_ENTRIES,
  MAX_VIRTUAL_SIZE,
  SECTOR,
  checkLsmtHeader,
  parseLsmtHeader,
  type LsmtHeader,
} from './format.js';
import type { LsmtLayer } from './layer.js';
import { readEntries } from './read-entries.js';

/**
 * Reads the header of an upper's data file.
 * @throws OverlaybdError BAD_FORMAT, and what the source throws
 */
export async function readUpperDataHeader(data: BlobSource): Promise<LsmtHeader> {
  checkRoomForHeader(data, 'upper data file');
  const bytes = await readFully(data, 0, LSMT_HEADER_SIZE);
  const rule = { section: 'upper data header', offset: 0, set: LSMT_FLAG.header, clear: 0 };
  checkLsmtHeader(bytes, data.name, rule);
  return parseLsmtHeader(bytes);
}

/**
 * Opens an append-only upper, whose index file maps sectors to its data file.
 * @throws OverlaybdError BAD_FORMAT or LIMIT for the first rule that is broken, and what the sources throw
 */
export async function openAppendUpper(data: BlobSource, index: BlobSource): Promise<LsmtLayer> {
  checkRoomForHeader(index, 'upper index file');
  const bytes = await readFully(index, 0, LSMT_HEADER_SIZE);
  const rule = {
    section: 'upper index header',
    offset: 0,
    set: LSMT_FLAG.header,
    clear: LSMT_FLAG.dataFile | LSMT_FLAG.sealed,
  };
  checkLsmtHeader(bytes, index.name, rule);
  const header = parseLsmtHeader(bytes);
  // Writers do not update the count in the header, so the length of the file decides. An incomplete
  // last entry is left over from a crash and is dropped.
  const entries = Math.floor((index.size - LSMT_HEADER_SIZE) / INDEX_ENTRY_SIZE);
  checkUpperNumbers(header, entries, index.name);

  const dataEnd = Math.floor(data.size / SECTOR);
  const blob = index.name;
  return {
    kind: 'append-only upper',
    header,
    capacity: entries,
    hasTarget: false,
    readEntries: (log, layer, effort, sink = throwProblem) => {
      const indexOffset = LSMT_HEADER_SIZE;
      const rules = { blob, indexOffset, dataEnd, sorted: false, target: null, sink };
      return readEntries({ source: index, count: entries, rules }, log, layer, effort);
    },
  };
}

/** Opens a sparse upper: asks where its holes are. @throws OverlaybdError BAD_FORMAT, IO */
export async function openSparse(
  source: BlobSource,
  header: LsmtHeader,
  effort: Effort,
): Promise<LsmtLayer> {
  const extents = await findDataExtents(source, LSMT_HEADER_SIZE, effort);
  return openSparseUpper(source, header, extents);
}

/**
 * Opens a sparse upper: sector x is at byte 4096 + 512 x, and holes of the file are not mapped.
 * @param extents start and end of each data extent of the file, in order. A partial sector at either end
 *   of an extent is not mapped
 * @throws OverlaybdError BAD_FORMAT
 * @internal for its unit test
 */
export function openSparseUpper(
  data: BlobSource,
  header: LsmtHeader,
  extents: Float64Array,
): LsmtLayer {
  checkVirtualSize(header, data.name);
  // The whole sectors of the i-th extent that lie after the header and within the file.
  const beginOf = (i: number): number =>
    Math.ceil(Math.max(extents[2 * i] as number, LSMT_HEADER_SIZE) / SECTOR);
  const lengthOf = (i: number): number =>
    Math.floor(Math.min(extents[2 * i + 1] as number, data.size) / SECTOR) - beginOf(i);
  const count = extents.length / 2;
  let capacity = 0;
  let entries = 0;
  for (let i = 0; i < count; i++) {
    capacity += entriesIn(lengthOf(i));
    if (lengthOf(i) > 0) entries++;
  }
  return {
    kind: 'sparse upper',
    header,
    capacity,
    hasTarget: false,
    readEntries: (log, layer, effort) => {
      effort.spend(capacity);
      for (let i = 0; i < count; i++) {
        const begin = beginOf(i);
        log.pushRange(begin - FIRST_DATA_SECTOR, lengthOf(i), begin, layer);
      }
      return Promise.resolve({ entries, paddingEntries: 0 });
    },
  };
}

function checkRoomForHeader(source: BlobSource, what: string): void {
  if (source.size >= LSMT_HEADER_SIZE) return;
  throw formatError({
    blob: source.name,
    section: `lsmt ${what}`,
    offset: 0,
    expected: `at least ${LSMT_HEADER_SIZE} bytes (header)`,
    got: source.size,
  });
}

function checkUpperNumbers(header: LsmtHeader, entries: number, blob: string): void {
  checkVirtualSize(header, blob);
  if (header.indexOffset !== LSMT_HEADER_SIZE) {
    throw formatError({
      blob,
      section: 'lsmt upper index offset',
      offset: LSMT_FIELD.indexOffset,
      expected: `${LSMT_HEADER_SIZE}`,
      got: header.exact.indexOffset,
    });
  }
  if (entries > MAX_UPPER_ENTRIES) {
    throw formatError({
      blob,
      section: 'lsmt upper index',
      offset: LSMT_HEADER_SIZE,
      expected: `at most ${MAX_UPPER_ENTRIES} entries`,
      got: entries,
      code: 'LIMIT',
    });
  }
}

function checkVirtualSize(header: LsmtHeader, blob: string): void {
  if (header.virtualSize <= MAX_VIRTUAL_SIZE) return;
  throw formatError({
    blob,
    section: 'lsmt virtual size',
    offset: LSMT_FIELD.virtualSize,
    expected: `at most ${MAX_VIRTUAL_SIZE}`,
    got: header.exact.virtualSize,
  });
}
