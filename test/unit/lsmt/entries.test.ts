// The rules for index entries at their limits, in sealed layers and in append-only uppers.
import { test } from 'tap';
import type { FormatProblem } from '../../../daemon/errors.js';
import { ENTRY_WORDS, EntryParser } from '../../../daemon/lsmt/entries.js';
import { EntryLog, META_LAYER_SHIFT, META_ZEROED } from '../../../daemon/lsmt/entry-log.js';
import { encodeEntries, PADDING_ENTRY, type LsmtEntry } from '../../support/lsmt-layout.js';

/** In sectors: the first one after the data. */
const END = 108;

const data = (offset: number, length: number, moffset: number, tag = 0): LsmtEntry => ({
  offset,
  length,
  moffset,
  zeroed: false,
  tag,
});
const zeroed = (offset: number, length: number, moffset: number): LsmtEntry => ({
  ...data(offset, length, moffset),
  zeroed: true,
});

const LAYER = 7;

interface Parsed {
  /** What the log got: offset, length, moffset, or null if zeroed. */
  visits: [number, number, number | null][];
  problems: FormatProblem[];
  padding: number;
}

function parse(entries: readonly LsmtEntry[], sorted = true, pieces = 1): Parsed {
  const log = new EntryLog(entries.length);
  const problems: FormatProblem[] = [];
  const rules = { blob: 'blob', indexOffset: 55_296, dataEnd: END, sorted, target: null };
  const parser = new EntryParser({ ...rules, sink: (p) => problems.push(p) }, log, LAYER);
  const words = new Uint32Array(Uint8Array.from(encodeEntries(entries)).buffer);
  const step = Math.ceil(entries.length / pieces) * ENTRY_WORDS;
  for (let at = 0; at < words.length; at += step) parser.push(words.subarray(at, at + step));
  const visits = Array.from({ length: log.count }, (_, i): Parsed['visits'][number] => {
    const isZeroed = (log.tagOf(i) & META_ZEROED) !== 0;
    return [log.offsetOf(i), log.lengthOf(i), isZeroed ? null : log.moffsetOf(i)];
  });
  return { visits, problems, padding: parser.padding };
}

const isGood = (...entries: LsmtEntry[]): boolean => parse(entries).problems.length === 0;

await test('fields are decoded at their widest', (t) => {
  const { visits } = parse([
    data(2 ** 32 - 1, 1, 8, 1),
    data(2 ** 32, 2, 9),
    data(2 ** 44 - 3, 2, 8, 255),
  ]);
  t.same(visits, [
    [2 ** 32 - 1, 1, 8],
    [2 ** 32, 2, 9],
    [2 ** 44 - 3, 2, 8],
  ]);
  t.same(parse([zeroed(7, 16383, END)]).visits, [[7, 16383, null]]);
  t.same(
    parse([data(2 ** 50 - 2, 1, 8)]),
    { visits: [], problems: [], padding: 0 },
    'far past a device',
  );
  t.same(parse([data(2 ** 44 - 3, 4, 8)]).visits, [[2 ** 44 - 3, 3, 8]], 'half past a device');
  t.end();
});

await test('data far into a layer', (t) => {
  const log = new EntryLog(1);
  const rules = { blob: 'blob', indexOffset: 0, dataEnd: 2 ** 44, sorted: true, target: null };
  const words = new Uint32Array(Uint8Array.from(encodeEntries([data(0, 5, 2 ** 44 - 5)])).buffer);
  new EntryParser({ ...rules, sink: (p) => t.fail(p.section) }, log, LAYER).push(words);
  t.equal(log.moffsetOf(0), 2 ** 44 - 5);
  t.equal(log.tagOf(0) >>> META_LAYER_SHIFT, LAYER);
  t.end();
});

await test('a log without room gets nothing more', (t) => {
  const rules = { blob: 'blob', indexOffset: 0, dataEnd: END, sorted: true, target: null };
  const parser = new EntryParser({ ...rules, sink: (p) => t.fail(p.section) }, new EntryLog(1), 0);
  const words = new Uint32Array(
    Uint8Array.from(encodeEntries([data(0, 1, 8), data(1, 1, 9)])).buffer,
  );
  t.throws(() => parser.push(words), RangeError);
  t.end();
});

await test('padding is skipped anywhere, whatever its other fields are', (t) => {
  const odd = { ...PADDING_ENTRY, length: 16383, moffset: 2 ** 55 - 4, zeroed: true, tag: 255 };
  const { visits, problems, padding } = parse([
    PADDING_ENTRY,
    data(1, 1, 8),
    odd,
    PADDING_ENTRY,
    data(2, 1, 9),
    PADDING_ENTRY,
  ]);
  t.equal(padding, 4);
  t.same(problems, []);
  t.same(
    visits.map(([offset]) => offset),
    [1, 2],
  );
  t.end();
});

await test('an offset one below all ones is not padding', (t) => {
  t.equal(parse([data(2 ** 50 - 2, 1, 8)]).padding, 0);
  // The low half is all ones, the high half is not: an ordinary offset.
  t.same(parse([data(2 ** 32 - 1, 1, 8)]).visits.length, 1);
  t.end();
});

await test('data lies between sector 8 and the index', (t) => {
  t.ok(isGood(data(0, 1, 8)));
  t.ok(isGood(data(0, 100, 8)), 'the whole data area');
  t.ok(isGood(data(0, 1, END - 1)), 'the last sector');
  t.notOk(isGood(data(0, 1, 7)), 'the header');
  t.notOk(isGood(data(0, 1, 0)), 'the header');
  t.notOk(isGood(data(0, 101, 8)), 'one sector into the index');
  t.notOk(isGood(data(0, 1, END)), 'the index');
  t.notOk(isGood(data(0, 2, END - 1)), 'half in the index');
  t.notOk(isGood(data(0, 1, 2 ** 55 - 4)), 'far outside');
  t.end();
});

await test('zeroed entries keep to the same range, although they read nothing', (t) => {
  t.ok(isGood(zeroed(0, 16383, 8)), 'their length does not count');
  t.ok(isGood(zeroed(0, 1, END)), 'at the end of the data, as the reference writes it');
  t.notOk(isGood(zeroed(0, 1, 7)));
  t.notOk(isGood(zeroed(0, 1, 0)));
  t.notOk(isGood(zeroed(0, 1, END + 1)));
  t.end();
});

await test('entries of length 0 map nothing, but their place is checked', (t) => {
  const { visits, problems } = parse([data(5, 0, 9), zeroed(5, 0, 8), data(5, 1, 10)]);
  t.same(problems, []);
  t.same(visits, [[5, 1, 10]]);
  t.notOk(isGood(data(5, 0, 8)));
  t.notOk(isGood(data(5, 0, END)));
  t.end();
});

await test('sealed: entries are in order and do not overlap', (t) => {
  t.ok(isGood(data(0, 4, 8), data(4, 4, 12)), 'neighbours');
  t.notOk(isGood(data(0, 4, 8), data(3, 1, 12)), 'overlap by one sector');
  t.notOk(isGood(data(0, 4, 8), data(0, 4, 8)), 'the same one twice');
  t.notOk(isGood(data(4, 1, 8), data(0, 1, 9)), 'backwards');
  t.notOk(isGood(data(0, 4, 8), PADDING_ENTRY, data(2, 1, 9)), 'padding does not reset the order');
  t.notOk(isGood(data(0, 4, 8), data(2, 0, 9)), 'of length 0, but inside another one');
  t.notOk(isGood(zeroed(2 ** 33, 9, 8), data(2 ** 33 + 8, 1, 8)), 'after sector 2^32');
  t.end();
});

await test('append-only: entries in any order, with the same ranges', (t) => {
  const { visits, problems } = parse([data(4, 2, 8), data(0, 9, 9), data(4, 2, 8)], false);
  t.same(problems, []);
  t.equal(visits.length, 3);
  t.equal(parse([data(0, 1, 7)], false).problems.length, 1);
  t.equal(parse([data(0, 2, END - 1)], false).problems.length, 1);
  t.end();
});

await test('a problem names the entry, its place in the blob and the facts', (t) => {
  const { problems, visits } = parse([
    data(0, 1, 8),
    PADDING_ENTRY,
    data(9, 5, 107),
    data(0, 1, 8),
  ]);
  t.same(problems, [
    {
      blob: 'blob',
      section: 'lsmt index entry 2 moffset',
      offset: 55_296 + 2 * 16 + 8,
      expected: 'a range of sectors from 8 to 108, not empty',
      got: '107 to 112',
    },
    {
      blob: 'blob',
      section: 'lsmt index entry 3 offset',
      offset: 55_296 + 3 * 16,
      expected: 'sector 1 or later',
      got: 0,
    },
  ]);
  t.equal(visits.length, 1, 'bad entries are left out');
  t.end();
});

await test('an index parsed in pieces gives the same result', (t) => {
  const entries = Array.from({ length: 40 }, (_, i) =>
    i % 7 === 3 ? PADDING_ENTRY : data(i * 2 - (i % 11 === 10 ? 5 : 0), 2, 8 + i),
  );
  t.ok(parse(entries).problems.length > 0);
  for (const pieces of [2, 3, 40])
    t.same(parse(entries, true, pieces), parse(entries), `${pieces}`);
  t.end();
});

await test('of a layer with a target the tag says which source is meant', (t) => {
  const log = new EntryLog(8);
  const problems: FormatProblem[] = [];
  const rules = { blob: 'blob', indexOffset: 0, dataEnd: END, sorted: true };
  const target = { layer: 9, end: 50 };
  const parser = new EntryParser({ ...rules, target, sink: (p) => problems.push(p) }, log, LAYER);
  const entries = [
    data(0, 2, 8),
    data(2, 50, 0, 1),
    data(60, 1, 50, 1),
    data(61, 1, 8, 2),
    data(62, 1, 0),
    zeroed(63, 4, 0),
    data(66, 1, 1, 1),
    { ...zeroed(70, 1, 2 ** 40), tag: 1 },
  ];
  parser.push(new Uint32Array(Uint8Array.from(encodeEntries(entries)).buffer));
  t.same(
    Array.from({ length: log.count }, (_, i) => [
      log.offsetOf(i),
      (log.tagOf(i) >>> META_LAYER_SHIFT) & 0xff,
      (log.tagOf(i) & META_ZEROED) !== 0 ? null : log.moffsetOf(i),
    ]),
    [
      [0, LAYER, 8],
      [2, 9, 0],
      [63, LAYER, null],
      [70, 9, null],
    ],
  );
  t.match(problems, [
    {
      section: 'lsmt index entry 2 moffset',
      offset: 40,
      got: '50 to 51',
      expected: /which has 50$/,
    },
    { section: 'lsmt index entry 3 tag', offset: 63, got: 2 },
    { section: 'lsmt index entry 4 moffset' },
    { section: 'lsmt index entry 6 offset', got: 66 },
  ]);
  t.end();
});
