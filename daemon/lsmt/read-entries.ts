// Reads the index of a sealed layer or an append-only upper into an entry log.

import { readInto, type BlobSource } from '../blob/source.js';
import type { Effort } from '../lib/effort.js';
import { ENTRY_WORDS, EntryParser, type EntryRules } from './entries.js';
import type { EntryLog } from './entry-log.js';
import { INDEX_ENTRY_SIZE } from './format.js';
import type { EntryCounts } from './layer.js';

/** Entries that are read at a time: 256 KiB. */
const CHUNK_ENTRIES = 16_384;

export interface EntriesOfFile {
  readonly source: BlobSource;
  /** Number of entries, padding included. */
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
  const parser = new EntryParser(rules, log, layer);
  // Reuse one buffer: a buffer for each piece would make as much garbage as the index is long.
  const chunk = Buffer.allocUnsafeSlow(Math.min(count, CHUNK_ENTRIES) * INDEX_ENTRY_SIZE);
  const words = new Uint32Array(chunk.buffer);
  for (let done = 0; done < count; done += CHUNK_ENTRIES) {
    const n = Math.min(CHUNK_ENTRIES, count - done);
    const turn = effort.turn();
    if (turn) await turn;
    const bytes = chunk.subarray(0, n * INDEX_ENTRY_SIZE);
    await readInto(source, rules.indexOffset + done * INDEX_ENTRY_SIZE, bytes);
    parser.push(words.subarray(0, n * ENTRY_WORDS));
  }
  return { entries: count - parser.padding, paddingEntries: parser.padding };
}
