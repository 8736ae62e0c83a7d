// The table of blocks that the addon fills: what it refuses, so that it never writes outside the table.
import { test } from 'tap';
import { addLengths, type AddedBlocks } from '../../../daemon/native/block-offsets.js';

const LENGTHS = Buffer.from(Uint32Array.of(10, 20, 30, 40).buffer);
const ADDED: AddedBlocks = {
  lengths: LENGTHS,
  count: 4,
  next: 0,
  offset: 100,
  minLength: 1,
  maxLength: 100,
  end: 1000,
};

for (const Deltas of [Uint16Array, Uint32Array]) {
  await test(`a table of ${Deltas.name}`, (t) => {
    const table = {
      groupShift: 1,
      groups: Float64Array.of(100, 0, 0),
      deltas: new Deltas(5),
    };
    t.equal(addLengths(table, ADDED), 4);
    t.same([...table.groups], [100, 130, 200]);
    t.same([...table.deltas], [0, 10, 0, 30, 0]);
    t.equal(addLengths(table, { ...ADDED, maxLength: 29 }), 2, 'a length above the limit');
    t.equal(addLengths(table, { ...ADDED, minLength: 11 }), 0, 'a length below the limit');
    t.equal(addLengths(table, { ...ADDED, end: 159 }), 2, 'a block beyond the end');

    const before = [...table.groups, ...table.deltas];
    const wrong: Readonly<Record<string, Partial<AddedBlocks>>> = {
      'lengths: must hold count lengths': { count: 5 },
      'table: no room for count blocks': { next: 1 },
      'next: -1 is not an integer from 0 to 9007199254740991': { next: -1 },
    };
    for (const [message, change] of Object.entries(wrong)) {
      t.throws(() => addLengths(table, { ...ADDED, ...change }), { name: 'RangeError', message });
    }
    const few = { ...table, groups: table.groups.subarray(0, 2) };
    t.throws(() => addLengths(few, ADDED), { message: 'table: no room for count blocks' });
    t.same([...table.groups, ...table.deltas], before, 'nothing was written');
    t.end();
  });
}
