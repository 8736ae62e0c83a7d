// Opens a sealed layer: checks the header, takes all values from the trailer, and reads the index.
// Reads no data.

import { formatError, throwProblem } from '../errors.js';
import { bytesMatch } from '../lib/bytes.js';
import { readFully, type BlobSource } from '../blob/source.js';
import {
  INDEX_ENTRY_SIZE,
  LSMT_FIELD,
  LSMT_FLAG,
  LSMT_HEADER_SIZE,
  LSMT_MAGIC,
  MAX_SEALED_ENTRIES,
  MAX_VIRTUAL_SIZE,
  SECTOR,
  checkLsmtHeader,
  parseLsmtHeader,
  type LsmtHeader,
} from './format.js';
import type { LsmtLayer } from './layer.js';
import type { TargetRules } from './entries.js';
import { readEntries } from './read-entries.js';
import { checkTargetEnd, type LsmtTarget } from './target.js';

/**
 * Whether a source with this header is a file of an upper. A layer that was sealed in place keeps its
 * unsealed header, so only the lack of a trailer tells.
 */
export async function isUnsealed(source: BlobSource, header: LsmtHeader): Promise<boolean> {
  if ((header.flags & LSMT_FLAG.sealed) !== 0) return false;
  if (source.size < 2 * LSMT_HEADER_SIZE) return true;
  const end = await readFully(source, source.size - LSMT_HEADER_SIZE, LSMT_HEADER_SIZE);
  return !bytesMatch(end, 0, LSMT_MAGIC);
}

/**
 * Opens a source as a sealed layer.
 * @param head its first bytes: {@link LSMT_HEADER_SIZE} of them, or as many as there are
 * @param target the source that entries with the tag 1 map ranges of; null: tags mean nothing
 * @throws OverlaybdError BAD_FORMAT for the first rule that is broken, and what the source throws
 */
export async function openSealed(
  source: BlobSource,
  head: Buffer,
  target: LsmtTarget | null = null,
): Promise<LsmtLayer> {
  const blob = source.name;
  if (source.size < 2 * LSMT_HEADER_SIZE) {
    throw formatError({
      blob,
      section: 'lsmt layer',
      offset: 0,
      expected: `at least ${2 * LSMT_HEADER_SIZE} bytes (header and trailer)`,
      got: source.size,
    });
  }
  const { header: bit, dataFile, sealed } = LSMT_FLAG;
  checkLsmtHeader(head, blob, { section: 'header', offset: 0, set: bit | dataFile, clear: 0 });
  const trailerOffset = source.size - LSMT_HEADER_SIZE;
  const last = await readFully(source, trailerOffset, LSMT_HEADER_SIZE);
  checkLsmtHeader(last, blob, {
    section: 'trailer',
    offset: trailerOffset,
    set: dataFile | sealed,
    clear: bit,
  });
  const header = parseLsmtHeader(last);
  checkTrailerNumbers(header, blob, trailerOffset);

  const { indexOffset, indexSize } = header;
  const dataEnd = Math.floor(indexOffset / SECTOR);
  return {
    kind: 'sealed',
    header,
    capacity: indexSize,
    hasTarget: target !== null,
    readEntries: async (log, layer, effort, sink = throwProblem, targetLayer = layer) => {
      const ofTarget: TargetRules | null = target && {
        layer: targetLayer,
        end: Math.floor(target.size / SECTOR),
      };
      const rules = { blob, indexOffset, dataEnd, sorted: true, target: ofTarget, sink };
      const first = log.count;
      const counts = await readEntries({ source, count: indexSize, rules }, log, layer, effort);
      if (target) await checkTargetEnd(target, log, first, targetLayer, effort);
      return counts;
    },
  };
}

function checkTrailerNumbers(header: LsmtHeader, blob: string, trailerOffset: number): void {
  const { exact } = header;
  const check = (ok: boolean, name: string, field: number, expected: string, got: bigint): void => {
    if (ok) return;
    const offset = trailerOffset + field;
    throw formatError({ blob, section: `lsmt ${name}`, offset, expected, got });
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
}
