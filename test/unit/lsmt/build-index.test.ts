// Merging with hand-made cases, and its limits. Random cases and speed are in test/property.
import { test } from 'tap';
import { MAX_STACK_SEGMENTS, buildIndex } from '../../../daemon/lsmt/build-index.js';
import { EntryLog, ZEROED } from '../../../daemon/lsmt/entry-log.js';
import { LARGEST, indexOf, rowsOf, type Row } from '../../support/segments.js';

/** Layers, the bottom first. */
const merge = (...layers: (readonly Row[])[]): number[][] =>
  rowsOf(indexOf(layers.flatMap((rows, i) => rows.map(([a, b, c]): Row => [a, b, c, i]))));

await test('no layers, empty layers, one layer', (t) => {
  t.same(merge(), []);
  t.same(merge([], [], []), []);
  t.same(merge([], [[3, 2, 8]], []), [[3, 2, 8, 1]]);
  t.end();
});

const cut = (...top: Row[]): number[][] => merge([[10, 10, 100]], top);

await test('the top layer cuts the bottom one: in the middle, at its ends, all of it', (t) => {
  t.same(cut([12, 3, 8]), [
    [10, 2, 100, 0],
    [12, 3, 8, 1],
    [15, 5, 105, 0],
  ]);
  t.same(cut([5, 7, 8]), [
    [5, 7, 8, 1],
    [12, 8, 102, 0],
  ]);
  t.same(cut([18, 9, 8]), [
    [10, 8, 100, 0],
    [18, 9, 8, 1],
  ]);
  t.same(cut([10, 10, 8]), [[10, 10, 8, 1]]);
  t.same(cut([0, 99, 8]), [[0, 99, 8, 1]]);
  t.same(cut([20, 1, 8]), [
    [10, 10, 100, 0],
    [20, 1, 8, 1],
  ]);
  t.same(cut([11, 1, 8], [13, 1, 9]), [
    [10, 1, 100, 0],
    [11, 1, 8, 1],
    [12, 1, 102, 0],
    [13, 1, 9, 1],
    [14, 6, 104, 0],
  ]);
  t.end();
});

await test('zeroed segments hide lower layers, and are cut like others', (t) => {
  t.same(merge([[0, 10, 50]], [[2, 6, ZEROED]], [[4, 1, 8]]), [
    [0, 2, 50, 0],
    [2, 2, ZEROED, 1],
    [4, 1, 8, 2],
    [5, 3, ZEROED, 1],
    [8, 2, 58, 0],
  ]);
  t.end();
});

await test('entries that a writer had to split are joined again', (t) => {
  const rows: Row[] = [
    [0, 16383, 8],
    [16383, 10, 16391],
    [16393, 5, ZEROED],
    [16398, 5, ZEROED],
    [16403, 5, 16401],
    [16409, 5, 16406],
  ];
  t.same(merge(rows), [
    [0, 16393, 8, 0],
    [16393, 10, ZEROED, 0],
    [16403, 5, 16401, 0],
    [16409, 5, 16406, 0],
  ]);
  t.end();
});

await test('zeroed segments and data, or two layers, are never joined', (t) => {
  t.equal(
    merge([
      [0, 2, ZEROED],
      [2, 2, 1],
      [4, 2, ZEROED],
    ]).length,
    3,
  );
  t.equal(merge([[0, 2, 8]], [[2, 2, 10]]).length, 2);
  t.end();
});

await test('255 layers: each layer number is kept', (t) => {
  const layers = Array.from({ length: 255 }, (_, i): Row[] => [[i, 255 - i, 8 + i]]);
  const rows = merge(...layers);
  t.same(
    rows.map(([offset, length, , layer]) => [offset, length, layer]),
    Array.from({ length: 255 }, (_, i) => [i, 1, i]),
  );
  t.end();
});

await test('more segments than the limit are refused before they are written', (t) => {
  // Every second sector of the lower half is covered: each such entry cuts it once more.
  const half = MAX_STACK_SEGMENTS / 2 + 1;
  const long = Math.ceil((2 * half) / 16383);
  const log = new EntryLog(long + half);
  for (let i = 0; i < long; i++) log.push(i * 16383, 16383, 8 + i * 16383, 0);
  for (let i = 0; i < half; i++) log.push(2 * i + 1, 1, 8, 1);
  t.throws(() => buildIndex(log, LARGEST, 'a stack'), {
    code: 'LIMIT',
    message: `a stack: ${2 * half + 1} segments after merging its layers, at most ${MAX_STACK_SEGMENTS}`,
  });
  t.end();
});

await test('entries whose ends are equal modulo 2^14 are not confused', (t) => {
  const far = 3 * 16384;
  t.same(
    merge([
      [0, 100, 8],
      [10, 10, 300],
      [far, 100, 400],
      [far + 10, 20, 600],
      [far + 20, 5, 700],
    ]),
    [
      [0, 10, 8, 0],
      [10, 10, 300, 0],
      [20, 80, 28, 0],
      [far, 10, 400, 0],
      [far + 10, 10, 600, 0],
      [far + 20, 5, 700, 0],
      [far + 25, 5, 615, 0],
      [far + 30, 70, 430, 0],
    ],
  );
  t.end();
});

await test('an append-only upper: the last write wins, in any order', (t) => {
  t.same(
    merge([
      [0, 4, 8],
      [4, 4, 12],
    ]),
    [[0, 8, 8, 0]],
  );
  t.same(
    merge([
      [0, 9, 8],
      [3, 2, ZEROED],
      [4, 4, 17],
    ]),
    [
      [0, 3, 8, 0],
      [3, 1, ZEROED, 0],
      [4, 4, 17, 0],
      [8, 1, 16, 0],
    ],
  );
  const many = Array.from({ length: 1000 }, (_, i): Row => [999 - i, 2, 8 + 2 * i]);
  const rows = merge(many);
  t.same(rows[0], [0, 2, 8 + 2 * 999, 0]);
  t.equal(rows.length, 1000);
  const same = Array.from({ length: 1000 }, (_, i): Row => [7, 3, 8 + 3 * i]);
  t.same(merge(same), [[7, 3, 8 + 3 * 999, 0]]);
  t.end();
});

await test('a joined segment stays below 2^32 sectors', (t) => {
  // A little over 2 TiB as a writer records it: 262,000 adjacent entries.
  for (const moffset of [ZEROED, 8]) {
    const sectors = 2 ** 32 + 100;
    const rows = rowsOf(indexOf([[0, sectors, moffset]]));
    t.equal(rows.length, 2);
    const [first, second] = rows as [number[], number[]];
    t.ok((first[1] as number) < 2 ** 32, `${first[1]} sectors`);
    t.ok((first[1] as number) > 2 ** 32 - 2 ** 15, 'one entry more would not have fitted');
    t.same(second.slice(0, 2), [first[1], sectors - (first[1] as number)]);
  }
  t.end();
});
