// Reads an index of a file, sealed or append-only, into a log.

import { readInto, type BlobSource } from '../blob/source.js';
import type { Effort } from '../lib/effort.js';
import { EntryParser, type EntryRules } from './entries.js';
import { ZEROED, type EntryLog } from './entry-log.js';
import { INDEX_ENTRY_SIZE } from './format.js';
import type { EntryCounts } from './layer.js';

/** An index is read in pieces of so many entries: 256 KiB. */
const CHUNK_ENTRIES = 16_384;

export interface EntriesOfFile {
  readonly source: BlobSource;
  /** Entries, padding included. */
  readonly count: number;
  readonly rules: EntryRules;
}

export async function readEntries(
  { source, count, rules }: EntriesOfFile,
  log: EntryLog,
  layer: number,
  effort: Effort,
): Promise<EntryCounts> {
  effort.spend(count);
  const parser = new EntryParser(rules, (offset, length, moffset, zeroed) => {
    log.push(offset, length, zeroed ? ZEROED : moffset, layer);
  });
  // One piece of memory for all: of a large index there would be as much garbage as there is index.
  const chunk = Buffer.allocUnsafeSlow(Math.min(count, CHUNK_ENTRIES) * INDEX_ENTRY_SIZE);
  for (let done = 0; done < count; done += CHUNK_ENTRIES) {
    const n = Math.min(CHUNK_ENTRIES, count - done);
    const turn = effort.turn();
    if (turn) await turn;
    const bytes = chunk.subarray(0, n * INDEX_ENTRY_SIZE);
    await readInto(source, rules.indexOffset + done * INDEX_ENTRY_SIZE, bytes);
    parser.push(bytes);
  }
  return { entries: count - parser.padding, paddingEntries: parser.padding };
}
