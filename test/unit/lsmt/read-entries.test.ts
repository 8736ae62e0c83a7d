// Reading an index in pieces: the entries in the log, the effort, and the number of reads.
import { test } from 'tap';
import { throwProblem } from '../../../daemon/errors.js';
import type { Effort } from '../../../daemon/lib/effort.js';
import { EntryLog } from '../../../daemon/lsmt/entry-log.js';
import { readEntries } from '../../../daemon/lsmt/read-entries.js';
import { encodeEntries, PADDING_ENTRY, type LsmtEntry } from '../../support/lsmt-layout.js';
import { MemorySource } from '../../support/memory-source.js';

/** Entries that are read at a time. */
const CHUNK = 16_384;
const AT = 4096;

function indexOf(entries: readonly LsmtEntry[]) {
  const source = new MemorySource(Buffer.concat([Buffer.alloc(AT), encodeEntries(entries)]));
  const rules = { blob: 'blob', indexOffset: AT, dataEnd: 2 ** 30, sorted: true, target: null };
  return { source, count: entries.length, rules: { ...rules, sink: throwProblem } };
}

const entry = (i: number): LsmtEntry => ({
  offset: 2 * i,
  length: 1,
  moffset: 8 + i,
  zeroed: i % 5 === 0,
  tag: 0,
});

await test('two pieces and an entry: all arrive, with a turn before each piece', async (t) => {
  const count = 2 * CHUNK + 1;
  const index = indexOf(Array.from({ length: count }, (_, i) => entry(i)));
  const log = new EntryLog(count);
  const spent: number[] = [];
  let turns = 0;
  const effort: Effort = {
    spend: (units) => spent.push(units),
    turn: async () => void turns++,
    keep: () => undefined,
  };
  t.same(await readEntries(index, log, 3, effort), { entries: count, paddingEntries: 0 });
  t.same(spent, [count], 'announced once, before it is read');
  t.equal(turns, 3);
  t.same(index.source.reads, [
    [AT, CHUNK * 16],
    [AT + CHUNK * 16, CHUNK * 16],
    [AT + 2 * CHUNK * 16, 16],
  ]);
  t.equal(log.count, count);
  for (const i of [0, 1, CHUNK - 1, CHUNK, count - 1]) {
    t.equal(log.offsetOf(i), 2 * i);
    t.equal(log.tagOf(i) >>> 31, i % 5 === 0 ? 1 : 0, 'zeroed');
    if (i % 5 !== 0) t.equal(log.moffsetOf(i), 8 + i);
  }
});

await test('padding is counted separately', async (t) => {
  const index = indexOf([entry(1), PADDING_ENTRY, PADDING_ENTRY]);
  const log = new EntryLog(3);
  const effort = { spend: () => undefined, turn: () => null, keep: () => undefined };
  t.same(await readEntries(index, log, 0, effort), { entries: 1, paddingEntries: 2 });
  t.equal(log.count, 1);
});

await test('an effort over its limit ends it before anything is read', async (t) => {
  const index = indexOf([entry(1)]);
  const effort: Effort = {
    spend: () => {
      throw new Error('too much');
    },
    turn: () => null,
    keep: () => undefined,
  };
  await t.rejects(readEntries(index, new EntryLog(1), 0, effort), { message: 'too much' });
  t.same(index.source.reads, []);
});
