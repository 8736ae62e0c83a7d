// Opens a sealed layer: checks the header, takes all values from the trailer, and reads the index.
// Reads no data.

import { throwProblem, type ProblemSink } from '../errors.js';
import { readFully, type BlobSource } from '../blob/source.js';
import {
  INDEX_ENTRY_SIZE,
  LSMT_FIELD,
  LSMT_FLAG,
  LSMT_HEADER_SIZE,
  MAX_SEALED_ENTRIES,
  MAX_VIRTUAL_SIZE,
  SECTOR,
  checkLsmtHeader,
  isLsmtHeader,
  parseLsmtHeader,
  type LsmtHeader,
} from './format.js';
import type { LsmtLayer } from './layer.js';
import { readEntries } from './read-entries.js';

/** Whether the source begins with an LSMT header. */
export async function isLsmt(source: BlobSource): Promise<boolean> {
  if (source.size < LSMT_HEADER_SIZE) return false;
  return isLsmtHeader(await readFully(source, 0, LSMT_HEADER_SIZE));
}

/**
 * Opens a source as a sealed layer.
 * @param sink gets every broken rule; with the default the first one is thrown
 * @returns null when a sink that does not throw got something that leaves nothing to read
 */
export async function openSealed(
  source: BlobSource,
  sink: ProblemSink = throwProblem,
): Promise<LsmtLayer | null> {
  const blob = source.name;
  if (source.size < 2 * LSMT_HEADER_SIZE) {
    sink({
      blob,
      section: 'lsmt layer',
      offset: 0,
      expected: `at least ${2 * LSMT_HEADER_SIZE} bytes (header and trailer)`,
      got: source.size,
    });
    return null;
  }
  const first = await readFully(source, 0, LSMT_HEADER_SIZE);
  const headerRule = {
    section: 'header',
    offset: 0,
    set: LSMT_FLAG.header | LSMT_FLAG.dataFile,
    clear: 0,
  };
  if (!checkLsmtHeader(first, blob, headerRule, sink)) return null;

  const trailerOffset = source.size - LSMT_HEADER_SIZE;
  const last = await readFully(source, trailerOffset, LSMT_HEADER_SIZE);
  const trailerRule = {
    section: 'trailer',
    offset: trailerOffset,
    set: LSMT_FLAG.dataFile | LSMT_FLAG.sealed,
    clear: LSMT_FLAG.header,
  };
  if (!checkLsmtHeader(last, blob, trailerRule, sink)) return null;
  const header = parseLsmtHeader(last);
  if (!checkTrailerNumbers(header, blob, trailerOffset, sink)) return null;

  const { indexOffset, indexSize } = header;
  const dataEnd = Math.floor(indexOffset / SECTOR);
  return {
    kind: 'sealed',
    header,
    capacity: indexSize,
    readEntries: (log, layer, effort, entrySink = sink) => {
      const rules = { blob, indexOffset, dataEnd, sorted: true, sink: entrySink };
      return readEntries({ source, count: indexSize, rules }, log, layer, effort);
    },
  };
}

function checkTrailerNumbers(
  header: LsmtHeader,
  blob: string,
  trailerOffset: number,
  sink: ProblemSink,
): boolean {
  const { exact } = header;
  let good = true;
  const check = (ok: boolean, name: string, field: number, expected: string, got: bigint): void => {
    if (ok) return;
    good = false;
    sink({ blob, section: `lsmt ${name}`, offset: trailerOffset + field, expected, got });
  };
  check(
    header.indexSize <= MAX_SEALED_ENTRIES,
    'index size',
    LSMT_FIELD.indexSize,
    `at most ${MAX_SEALED_ENTRIES} entries`,
    exact.indexSize,
  );
  check(
    header.indexOffset <= trailerOffset,
    'index offset',
    LSMT_FIELD.indexOffset,
    `at most ${trailerOffset}, where the trailer begins`,
    exact.indexOffset,
  );
  check(
    header.indexOffset + header.indexSize * INDEX_ENTRY_SIZE <= trailerOffset,
    'index end',
    LSMT_FIELD.indexSize,
    `at most ${trailerOffset}, where the trailer begins`,
    exact.indexOffset + exact.indexSize * BigInt(INDEX_ENTRY_SIZE),
  );
  check(
    header.virtualSize <= MAX_VIRTUAL_SIZE,
    'virtual size',
    LSMT_FIELD.virtualSize,
    `at most ${MAX_VIRTUAL_SIZE}`,
    exact.virtualSize,
  );
  return good;
}
