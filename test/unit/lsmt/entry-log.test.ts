// The log of index entries: fields at their widest, the end of the largest disk, and its capacity.
import { test } from 'tap';
import {
  EntryLog,
  entriesIn,
  MAX_ENTRY_LENGTH,
  META_LAYER_SHIFT,
  META_ZEROED,
  ZEROED,
} from '../../../daemon/lsmt/entry-log.js';

/** Sectors of the largest disk: 2^53 bytes. */
const MAX_SECTORS = 2 ** 44;

const rowsOf = (log: EntryLog): number[][] =>
  Array.from({ length: log.count }, (_, i) => [
    log.offsetOf(i),
    log.lengthOf(i),
    log.moffsetOf(i),
    log.tagOf(i),
  ]);

await test('fields keep their values at their widest', (t) => {
  const log = new EntryLog(3);
  const widest = MAX_SECTORS - MAX_ENTRY_LENGTH;
  log.push(0, 1, 8, 0);
  log.push(widest, MAX_ENTRY_LENGTH, 2 ** 44 - 1, 255);
  log.push(2 ** 32 - 1, 2, 2 ** 32, 7);
  t.same(rowsOf(log), [
    [0, 1, 8, 0],
    [widest, MAX_ENTRY_LENGTH, 2 ** 44 - 1, 255 << META_LAYER_SHIFT],
    [2 ** 32 - 1, 2, 2 ** 32, 7 << META_LAYER_SHIFT],
  ]);
  t.equal(log.offsetHighOf(1), Math.floor(widest / 2 ** 32));
  t.end();
});

await test('a zeroed entry has its own bit next to the layer', (t) => {
  const log = new EntryLog(1);
  log.push(5, 6, ZEROED, 255);
  t.equal(log.tagOf(0) >>> 0, (META_ZEROED | (255 << META_LAYER_SHIFT)) >>> 0);
  t.same([log.offsetOf(0), log.lengthOf(0)], [5, 6]);
  t.end();
});

await test('sectors past the end of the largest disk are dropped', (t) => {
  const log = new EntryLog(1);
  log.push(MAX_SECTORS, 1, 8, 0);
  log.push(2 ** 50 - 2, MAX_ENTRY_LENGTH, 8, 0);
  t.equal(log.count, 0);
  log.push(MAX_SECTORS - 2, 5, 8, 0);
  t.same(rowsOf(log), [[MAX_SECTORS - 2, 2, 8, 0]]);
  t.end();
});

await test('one entry more than the capacity is refused', (t) => {
  const log = new EntryLog(1);
  log.push(0, 1, 8, 0);
  t.throws(() => log.push(1, 1, 9, 0), { name: 'RangeError', message: /more than 1 entries/ });
  t.equal(log.count, 1);
  t.end();
});

await test('a long range takes as many entries as entriesIn() says', (t) => {
  for (const length of [0, 1, MAX_ENTRY_LENGTH, MAX_ENTRY_LENGTH + 1, 3 * MAX_ENTRY_LENGTH]) {
    const log = new EntryLog(10);
    log.pushRange(100, length, 8, 1);
    t.equal(log.count, entriesIn(length), `${length} sectors`);
    t.equal(
      rowsOf(log).reduce((sum, [, n = 0]) => sum + n, 0),
      length,
    );
  }
  t.equal(entriesIn(-1), 0);
  const log = new EntryLog(2);
  log.pushRange(100, MAX_ENTRY_LENGTH + 5, 8, 1);
  t.same(log.moffsetOf(1), 8 + MAX_ENTRY_LENGTH, 'data continues in the layer');
  const zeroed = new EntryLog(2);
  zeroed.pushRange(100, MAX_ENTRY_LENGTH + 5, ZEROED, 1);
  t.same(zeroed.tagOf(1) >>> 31, 1, 'zeros have no place in the layer');
  t.end();
});
