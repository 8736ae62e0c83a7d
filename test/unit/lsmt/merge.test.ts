// Merging by hand-made cases, and its limits. Random cases and speed are in test/property.
import { test } from 'tap';
import { MAX_STACK_SEGMENTS, mergeLayers, overlay } from '../../../daemon/lsmt/merge.js';
import { replay } from '../../../daemon/lsmt/replay.js';
import { SegmentList, ZEROED } from '../../../daemon/lsmt/segment-list.js';

type Row = [offset: number, length: number, moffset: number];

function listOf(...rows: Row[]): SegmentList {
  const list = new SegmentList();
  for (const [offset, length, moffset] of rows) list.push(offset, length, moffset, 0);
  return list;
}

const rowsOf = ({ count, offsets, lengths, moffsets, layers }: SegmentList): number[][] =>
  Array.from({ length: count }, (_, i) =>
    [offsets, lengths, moffsets, layers].map((each) => each[i] as number),
  );

await test('no layers, empty layers, one layer', (t) => {
  t.same(rowsOf(mergeLayers([])), []);
  t.same(rowsOf(mergeLayers([listOf(), listOf(), listOf()])), []);
  t.same(rowsOf(mergeLayers([listOf(), listOf([3, 2, 8]), listOf()])), [[3, 2, 8, 1]]);
  t.end();
});

await test('the top cuts the bottom: in the middle, at its ends, all of it', (t) => {
  const bottom = listOf([10, 10, 100]);
  const cut = (...top: Row[]) => rowsOf(mergeLayers([bottom, listOf(...top)]));
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

await test('zeroed segments hide what is below, and are cut like others', (t) => {
  const merged = mergeLayers([listOf([0, 10, 50]), listOf([2, 6, ZEROED]), listOf([4, 1, 8])]);
  t.same(rowsOf(merged), [
    [0, 2, 50, 0],
    [2, 2, ZEROED, 1],
    [4, 1, 8, 2],
    [5, 3, ZEROED, 1],
    [8, 2, 58, 0],
  ]);
  t.end();
});

await test('entries that a writer had to split are joined again', (t) => {
  const list = new SegmentList();
  list.pushJoined(0, 16383, 8, 0);
  list.pushJoined(16383, 10, 16391, 0);
  list.pushJoined(16393, 5, ZEROED, 0);
  list.pushJoined(16398, 5, ZEROED, 0);
  list.pushJoined(16403, 5, 16401, 0);
  list.pushJoined(16409, 5, 16406, 0);
  t.same(rowsOf(list), [
    [0, 16393, 8, 0],
    [16393, 10, ZEROED, 0],
    [16403, 5, 16401, 0],
    [16409, 5, 16406, 0],
  ]);
  t.end();
});

await test('a zeroed segment is never joined with data, even where numbers would fit', (t) => {
  const list = new SegmentList();
  list.pushJoined(0, 2, ZEROED, 0);
  list.pushJoined(2, 2, 1, 0);
  list.pushJoined(4, 2, ZEROED, 0);
  t.equal(list.count, 3);
  t.end();
});

await test('255 layers: each number survives', (t) => {
  const layers = Array.from({ length: 255 }, (_, i) => listOf([i, 255 - i, 8 + i]));
  const merged = mergeLayers(layers);
  t.equal(merged.count, 255);
  t.same([...merged.layers.subarray(0, 255)], [...Array(255).keys()]);
  t.same([...merged.offsets.subarray(0, 255)], [...Array(255).keys()]);
  t.ok(merged.lengths.subarray(0, 255).every((length) => length === 1));
  t.end();
});

await test('a stack with too many segments is refused before it is merged', (t) => {
  // Only counts: arrays of this size are never made.
  const huge = listOf([0, 1, 8]);
  huge.count = MAX_STACK_SEGMENTS;
  t.throws(() => mergeLayers([listOf([0, 1, 8]), huge]), {
    code: 'LIMIT',
    message: 'stack of 2 layers: 16777217 segments, at most 16777216',
  });
  t.end();
});

await test('overlay with nothing on one side is the other', (t) => {
  const list = listOf([1, 1, 8]);
  t.equal(overlay(list, listOf()), list);
  t.equal(overlay(listOf(), list), list);
  t.end();
});

await test('replay: the last write wins, in order and out of it, few and many', (t) => {
  t.same(rowsOf(replay(listOf())), []);
  t.same(rowsOf(replay(listOf([0, 4, 8], [4, 4, 12]))), [[0, 8, 8, 0]]);
  t.same(rowsOf(replay(listOf([0, 9, 8], [3, 2, ZEROED], [4, 4, 17]))), [
    [0, 3, 8, 0],
    [3, 1, ZEROED, 0],
    [4, 4, 17, 0],
    [8, 1, 16, 0],
  ]);
  const many: Row[] = Array.from({ length: 1000 }, (_, i) => [999 - i, 2, 8 + 2 * i]);
  const rows = rowsOf(replay(listOf(...many)));
  t.same(rows[0], [0, 2, 8 + 2 * 999, 0]);
  t.equal(rows.length, 1000);
  const same: Row[] = Array.from({ length: 1000 }, (_, i) => [7, 3, 8 + 3 * i]);
  t.same(rowsOf(replay(listOf(...same))), [[7, 3, 8 + 3 * 999, 0]]);
  t.end();
});
