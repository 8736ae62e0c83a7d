// The packed index at its limits: disk ends, 2^32-sector boundaries, widest fields. Random cases: test/property.
import { test } from 'tap';
import { ZEROED } from '../../../daemon/lsmt/entry-log.js';
import { indexOf as pack, rowsOf, type Row } from '../../support/segments.js';

const TWO_32 = 2 ** 32;
const SECTOR = 512;

await test('an empty index finds nothing anywhere', (t) => {
  const index = pack([], 10 * SECTOR);
  for (const sector of [0, 9]) t.equal(index.find(sector, 0), 0);
  t.equal(index.count, 0);
  t.end();
});

await test('17 bytes a segment, all in shared memory', (t) => {
  const { data } = pack(
    Array.from({ length: 1000 }, (_, i) => [i * 2, 1, 8 + i] as const),
    1000 * 1024,
  );
  const { offsets, lengths, moffsets, meta, highStarts, rangeStarts } = data;
  const arrays = [offsets, lengths, moffsets, meta, highStarts, rangeStarts];
  t.ok(arrays.every(({ buffer }) => buffer instanceof SharedArrayBuffer));
  const bytes = arrays.reduce((sum, { byteLength }) => sum + byteLength, 0);
  t.ok(bytes <= 17 * 1000 + 64, `${bytes} bytes`);
  t.end();
});

await test('find: inside, at both ends, in holes, after the last segment', (t) => {
  const index = pack(
    [
      [10, 5, 8],
      [15, 1, 100],
      [40, 10, 200],
    ],
    100 * SECTOR,
  );
  const expected: [number, number][] = [
    [0, 0],
    [9, 0],
    [10, 0],
    [14, 0],
    [15, 1],
    [16, 2],
    [39, 2],
    [40, 2],
    [49, 2],
    [50, 3],
    [99, 3],
  ];
  for (const [sector, found] of expected) {
    for (let hint = 0; hint <= 4; hint++)
      t.equal(index.find(sector, hint), found, `${sector}, ${hint}`);
  }
  t.end();
});

await test('segments beyond the end of the disk are cut or left out', (t) => {
  const rows: Row[] = [
    [0, 4, 8],
    [8, 4, 12],
    [12, 4, 16],
    [2 ** 49, 9, 20],
  ];
  t.same(rowsOf(pack(rows, 10 * SECTOR)), [
    [0, 4, 8, 0],
    [8, 2, 12, 0],
  ]);
  t.same(rowsOf(pack(rows, 12 * SECTOR)), [
    [0, 4, 8, 0],
    [8, 4, 12, 0],
  ]);
  t.same(rowsOf(pack(rows, 0)), []);
  t.end();
});

await test('a disk whose size is not a multiple of a sector keeps the last one', (t) => {
  t.same(rowsOf(pack([[0, 4, 8]], 3 * SECTOR + 1)), [[0, 4, 8, 0]]);
  t.same(rowsOf(pack([[0, 4, 8]], 3 * SECTOR)), [[0, 3, 8, 0]]);
  t.end();
});

await test('255 layers, data offsets up to 2^44 sectors, the longest segment', (t) => {
  const rows: Row[] = [
    [0, 1, 2 ** 44 - 1, 254],
    [1, 1, TWO_32 - 1, 128],
    [2, 1, TWO_32, 1],
    [3, 1, ZEROED, 254],
    [4, 0xffff_ffff, 8, 0],
  ];
  t.same(rowsOf(pack(rows, 2 ** 50)), rows);
  t.end();
});

await test('disks above 2 TiB: every segment keeps its high half', (t) => {
  const rows: Row[] = [
    [5, 1, 8],
    [TWO_32 - 1, 1, 9],
    [TWO_32, 1, 20],
    [TWO_32 + 5, 1, 11],
    [4 * TWO_32 + 5, 1, 12],
    [4 * TWO_32 + 6, 1, ZEROED, 3],
    [9 * TWO_32 - 1, 1, 13],
  ];
  const index = pack(rows, 9 * TWO_32 * SECTOR);
  t.same(
    rowsOf(index),
    rows.map(([offset, length, moffset, layer = 0]) => [offset, length, moffset, layer]),
  );
  for (const [i, [offset]] of rows.entries()) {
    for (const hint of [0, 3, 6, 7]) {
      t.equal(index.find(offset, hint), i, `sector ${offset} from ${hint}`);
      t.equal(index.find(offset + 1, hint), i + 1, `after sector ${offset} from ${hint}`);
    }
  }
  // Ranges without any segment, and the last sector of the disk.
  t.equal(index.find(2 * TWO_32 + 5, 0), 4);
  t.equal(index.find(8 * TWO_32, 0), 6);
  t.equal(index.find(0, 0), 0);
  t.end();
});

await test('a segment across a 2^32-sector boundary is found on both sides', (t) => {
  const index = pack(
    [
      [1, 1, 8],
      [TWO_32 - 10, 20, 100],
      [TWO_32 + 50, 1, 9],
    ],
    2 * TWO_32 * SECTOR,
  );
  for (const hint of [0, 1, 2, 3]) {
    t.equal(index.find(TWO_32 - 11, hint), 1);
    t.equal(index.find(TWO_32 - 10, hint), 1);
    t.equal(index.find(TWO_32 - 1, hint), 1);
    t.equal(index.find(TWO_32, hint), 1);
    t.equal(index.find(TWO_32 + 9, hint), 1);
    t.equal(index.find(TWO_32 + 10, hint), 2);
    t.equal(index.find(TWO_32 + 51, hint), 3);
  }
  t.end();
});

await test('a segment that fills a whole 2^32 range and more', (t) => {
  const index = pack([[0, 5 * 2 ** 31, 8]], 5 * 2 ** 31 * SECTOR);
  t.same(
    rowsOf(index).map(([, length]) => length),
    [
      0xffff_ffff - (0xffff_ffff % 16383),
      5 * 2 ** 31 - 2 * (0xffff_ffff - (0xffff_ffff % 16383)),
    ].toSpliced(1, 0, 0xffff_ffff - (0xffff_ffff % 16383)),
    'segments are not joined beyond a u32 length',
  );
  for (let sector = 0; sector < 5 * 2 ** 31; sector += 2 ** 29 - 1) {
    const i = index.find(sector, 0);
    t.ok(index.offsetOf(i) <= sector && sector < index.endOf(i));
    t.equal(index.moffsetOf(i) + sector - index.offsetOf(i), 8 + sector);
  }
  t.end();
});

await test('the largest disk that a number can address', (t) => {
  const index = pack([[2 ** 44 - 2, 5, 8]], Number.MAX_SAFE_INTEGER);
  t.same(rowsOf(index), [[2 ** 44 - 2, 2, 8, 0]]);
  t.equal(index.find(2 ** 44 - 1, 0), 0);
  t.equal(index.find(0, 0), 0);
  t.end();
});
