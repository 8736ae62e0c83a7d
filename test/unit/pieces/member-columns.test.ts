// Members of a table of pieces: numbered in the order of their first pieces, whatever their order in the blob is.
import { test } from 'tap';
import { CountedColumns } from '../../../daemon/lib/counted-columns.js';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { MemberColumns } from '../../../daemon/pieces/member-columns.js';

function membersOf(begins: readonly number[], stored?: number): MemberColumns {
  const members = new MemberColumns('blob', new CountedColumns('blob', UNBOUNDED));
  for (const [piece, begin] of begins.entries()) {
    members.add({ codec: 1, begin, plain: 50_000 + piece, stored }, piece, 10);
  }
  return members;
}

await test('in their order, out of it, and one more piece of an earlier one', (t) => {
  const cases: [begins: number[], expected: number[], stored: number[]][] = [
    [
      [0, 100, 300, 300],
      [0, 100, 300],
      [100, 200, 700],
    ],
    [
      [300, 0, 300, 100, 0],
      [300, 0, 100],
      [700, 100, 200],
    ],
    [[], [], []],
  ];
  for (const [begins, expected, stored] of cases) {
    const table = membersOf(begins).finish(1000);
    t.same([...table.begins], expected);
    t.same([...table.stored], stored, 'up to the next one in the blob');
    t.same(
      [...table.firstPieces],
      expected.map((begin) => begins.indexOf(begin)),
    );
    t.same(
      [...table.endPieces],
      expected.map((begin) => begins.lastIndexOf(begin) + 1),
    );
    t.same(
      [...table.plain],
      expected.map((begin) => 50_000 + begins.lastIndexOf(begin)),
    );
    t.ok(table.codecs.every((codec) => codec === 1));
  }
  t.end();
});

await test('many, with known sizes', (t) => {
  const begins = Array.from({ length: 1000 }, (_, i) => ((i * 7) % 1000) * 50);
  const table = membersOf(begins, 33).finish(100_000);
  t.same([...table.begins], begins);
  t.ok(table.stored.every((each) => each === 33));
  t.ok(table.begins.buffer instanceof SharedArrayBuffer);
  t.end();
});
