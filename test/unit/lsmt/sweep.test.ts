// The pieces of a sweep: in order, without overlap, each from the entry that was written last.
import { deepEqual } from 'node:assert/strict';
import { test } from 'tap';
import { EntryLog } from '../../../daemon/lsmt/entry-log.js';
import { sortLog } from '../../../daemon/lsmt/sort-log.js';
import { sweep } from '../../../daemon/lsmt/sweep.js';

interface Piece {
  offset: number;
  end: number;
  moffset: number;
  layer: number;
  taken: number;
}

function piecesOf(rows: readonly (readonly [number, number, number, number])[]): Piece[] {
  const sweepOf = (mayStay: boolean): Piece[] => {
    const log = new EntryLog(rows.length);
    for (const row of rows) log.push(...row);
    const pieces: Piece[] = [];
    sweep(log, sortLog(log, mayStay), 0, log.count, {
      piece: (offset, end, moffset, tag, taken) =>
        pieces.push({ offset, end, moffset, layer: tag >>> 16, taken }),
    });
    return pieces;
  };
  const pieces = sweepOf(true);
  deepEqual(sweepOf(false), pieces, 'the same, if the entries are moved');
  return pieces;
}

const rangesOf = (pieces: readonly Piece[]): number[][] =>
  pieces.map(({ offset, end, moffset, layer }) => [offset, end, moffset, layer]);

await test('no entries make no pieces', (t) => {
  t.same(piecesOf([]), []);
  t.end();
});

await test('a later entry cuts an earlier one, which continues after it', (t) => {
  t.same(
    rangesOf(
      piecesOf([
        [0, 10, 100, 0],
        [3, 2, 8, 1],
      ]),
    ),
    [
      [0, 3, 100, 0],
      [3, 5, 8, 1],
      [5, 10, 105, 0],
    ],
  );
  t.end();
});

await test('an earlier entry shows only where it continues after a later one', (t) => {
  t.same(
    rangesOf(
      piecesOf([
        [5, 10, 100, 0],
        [0, 8, 8, 1],
      ]),
    ),
    [
      [0, 8, 8, 1],
      [8, 15, 103, 0],
    ],
  );
  t.end();
});

await test('nested entries reappear in the order in which they were written', (t) => {
  t.same(
    rangesOf(
      piecesOf([
        [0, 20, 100, 0],
        [2, 16, 200, 1],
        [4, 12, 300, 2],
        [6, 2, 400, 3],
      ]),
    ),
    [
      [0, 2, 100, 0],
      [2, 4, 200, 1],
      [4, 6, 300, 2],
      [6, 8, 400, 3],
      [8, 16, 304, 2],
      [16, 18, 214, 1],
      [18, 20, 118, 0],
    ],
  );
  t.end();
});

await test('a piece tells how many entries were read so far', (t) => {
  const pieces = piecesOf([
    [0, 1, 8, 0],
    [1, 1, 9, 0],
    [5, 1, 10, 0],
  ]);
  t.same(
    pieces.map(({ taken }) => taken),
    [1, 2, 3],
  );
  t.end();
});
