// Opens a writable layer (upper) for reading: append-only (data and index file) or sparse (one
// file whose holes are the index). Never writes, not even where the reference repairs headers.
// Facts 51-58 of docs/formats.md.

import { throwProblem, type ProblemSink } from '../errors.js';
import type { DataExtent } from '../blob/data-extents.js';
import { readFully, type BlobSource } from '../blob/source.js';
import { EntryParser } from './entries.js';
import {
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
import { INDEX_CHUNK } from './open-sealed.js';
import { replay } from './replay.js';
import { SegmentList, ZEROED } from './segment-list.js';

/**
 * Reads the header of an upper's data file.
 * @returns null when a sink that does not throw was told what is wrong
 */
export async function readUpperDataHeader(
  data: BlobSource,
  sink: ProblemSink = throwProblem,
): Promise<LsmtHeader | null> {
  if (!hasRoomForHeader(data, 'upper data file', sink)) return null;
  const bytes = await readFully(data, 0, LSMT_HEADER_SIZE);
  const rule = { section: 'upper data header', offset: 0, set: LSMT_FLAG.header, clear: 0 };
  if (!checkLsmtHeader(bytes, data.name, rule, sink)) return null;
  return parseLsmtHeader(bytes);
}

/** Opens an append-only upper: its index file says where in the data file everything is. */
export async function openAppendUpper(
  data: BlobSource,
  index: BlobSource,
  sink: ProblemSink = throwProblem,
): Promise<LsmtLayer | null> {
  if (!hasRoomForHeader(index, 'upper index file', sink)) return null;
  const bytes = await readFully(index, 0, LSMT_HEADER_SIZE);
  const rule = {
    section: 'upper index header',
    offset: 0,
    set: LSMT_FLAG.header,
    clear: LSMT_FLAG.dataFile | LSMT_FLAG.sealed,
  };
  if (!checkLsmtHeader(bytes, index.name, rule, sink)) return null;
  const header = parseLsmtHeader(bytes);
  // The count in the header is never kept up to date; the file's length is what counts. A torn
  // last entry is the trace of a crash and dropped.
  const entries = Math.floor((index.size - LSMT_HEADER_SIZE) / INDEX_ENTRY_SIZE);
  if (!checkUpperNumbers(header, entries, index.name, sink)) return null;

  const written = new SegmentList(entries);
  const parser = new EntryParser(
    {
      blob: index.name,
      indexOffset: LSMT_HEADER_SIZE,
      dataEnd: Math.floor(data.size / SECTOR),
      sorted: false,
      sink,
    },
    (offset, length, moffset, zeroed) => {
      written.push(offset, length, zeroed ? ZEROED : moffset, 0);
    },
  );
  const indexBytes = entries * INDEX_ENTRY_SIZE;
  for (let at = 0; at < indexBytes; at += INDEX_CHUNK) {
    const length = Math.min(INDEX_CHUNK, indexBytes - at);
    parser.push(await readFully(index, LSMT_HEADER_SIZE + at, length));
  }
  return {
    kind: 'append-only upper',
    header,
    segments: replay(written),
    entries: entries - parser.padding,
    paddingEntries: parser.padding,
  };
}

/**
 * Opens a sparse upper: LBA x is at byte 4096 + 512 x, and what the file has no data for is not
 * mapped.
 * @param extents the file's data, in order; partial sectors at either end are left out
 */
export function openSparseUpper(
  data: BlobSource,
  header: LsmtHeader,
  extents: readonly DataExtent[],
  sink: ProblemSink = throwProblem,
): LsmtLayer | null {
  if (!checkVirtualSize(header, data.name, sink)) return null;
  const segments = new SegmentList(extents.length);
  for (const extent of extents) {
    const begin = Math.ceil(Math.max(extent.offset, LSMT_HEADER_SIZE) / SECTOR);
    const end = Math.floor(Math.min(extent.end, data.size) / SECTOR);
    pushLong(segments, begin - LSMT_HEADER_SIZE / SECTOR, end - begin, begin);
  }
  return { kind: 'sparse upper', header, segments, entries: segments.count, paddingEntries: 0 };
}

/** A data extent may be longer than a list's u32 lengths can say. */
function pushLong(segments: SegmentList, offset: number, length: number, moffset: number): void {
  const MAX_LENGTH = 0x8000_0000;
  for (let done = 0; done < length; done += MAX_LENGTH) {
    segments.push(offset + done, Math.min(MAX_LENGTH, length - done), moffset + done, 0);
  }
}

function hasRoomForHeader(source: BlobSource, what: string, sink: ProblemSink): boolean {
  if (source.size >= LSMT_HEADER_SIZE) return true;
  sink({
    blob: source.name,
    section: `lsmt ${what}`,
    offset: 0,
    expected: `at least ${LSMT_HEADER_SIZE} bytes (header)`,
    got: source.size,
  });
  return false;
}

function checkUpperNumbers(
  header: LsmtHeader,
  entries: number,
  blob: string,
  sink: ProblemSink,
): boolean {
  let good = checkVirtualSize(header, blob, sink);
  if (header.indexOffset !== LSMT_HEADER_SIZE) {
    good = false;
    sink({
      blob,
      section: 'lsmt upper index offset',
      offset: LSMT_FIELD.indexOffset,
      expected: `${LSMT_HEADER_SIZE}`,
      got: header.indexOffset,
    });
  }
  if (entries > MAX_UPPER_ENTRIES) {
    good = false;
    sink({
      blob,
      section: 'lsmt upper index',
      offset: LSMT_HEADER_SIZE,
      expected: `at most ${MAX_UPPER_ENTRIES} entries`,
      got: entries,
      code: 'LIMIT',
    });
  }
  return good;
}

function checkVirtualSize(header: LsmtHeader, blob: string, sink: ProblemSink): boolean {
  if (header.virtualSize <= MAX_VIRTUAL_SIZE) return true;
  sink({
    blob,
    section: 'lsmt virtual size',
    offset: LSMT_FIELD.virtualSize,
    expected: `at most ${MAX_VIRTUAL_SIZE}`,
    got: header.virtualSize,
  });
  return false;
}
