// Tables of pieces in the least memory: which of them can be packed, and what that takes.
import { test } from 'tap';
import {
  isPacked,
  packedBytes,
  packedNumber,
  packNumbers,
  packTable,
} from '../../../daemon/pieces/packed-table.js';
import {
  PieceTableBuilder,
  tableBytes,
  type PieceTable,
  type StoredPiece,
} from '../../../daemon/pieces/piece-table.js';
import { randomBytes } from '../../support/pattern.js';

const digest = randomBytes(1, 32);
const piece = (begin: number, length: number, more: Partial<StoredPiece> = {}): StoredPiece => {
  return { codec: 'gzip', begin, inner: 0, length, digest, ...more };
};

/** Files of one piece each, a member each. */
function tableOf(files: readonly StoredPiece[], end = 2 ** 40): PieceTable {
  const builder = new PieceTableBuilder('blob');
  for (const file of files) {
    builder.align();
    builder.addStored(file);
  }
  return builder.finish(end);
}

await test('numbers take as many bytes as the largest of their block', (t) => {
  for (const most of [0, 255, 256, 65_535, 65_536, 2 ** 24 - 1, 2 ** 24, 2 ** 32 - 1]) {
    const numbers = Array.from({ length: 70 }, (_, i) => (i === 40 ? most : i));
    const packed = packNumbers(numbers);
    t.same(
      numbers.map((_, i) => packedNumber(packed, i)),
      numbers,
    );
    t.same(packed.widths[0], 1);
    t.same(packed.widths[2], 1);
    t.equal(packed.widths[1], Math.max(1, Math.ceil(Math.log2(most + 1) / 8)));
    t.ok(packed.bytes.buffer instanceof SharedArrayBuffer);
  }
  t.end();
});

await test('files of a table of contents take 37 bytes each', (t) => {
  const table = tableOf(Array.from({ length: 3200 }, (_, i) => piece(i * 900, 1 + i)));
  const packed = packTable(table);
  if (!isPacked(packed)) throw new Error('it is not packed');
  t.ok(packedBytes(packed) <= 3200 * 37, `${packedBytes(packed)} bytes`);
  t.ok(packedBytes(packed) * 2 < tableBytes(table));
  t.equal(packed.size, table.size);
  t.equal(packed.count, 3200);
  t.end();
});

await test('what a packed table cannot say stays as it is', (t) => {
  const two = [piece(0, 10), piece(100, 20)];
  const others: [string, () => PieceTable][] = [
    ['no pieces', () => tableOf([])],
    ['two pieces of a member', () => tableOf([piece(0, 10), piece(0, 20, { inner: 10 })])],
    ['a member that begins with something else', () => tableOf([piece(0, 10, { inner: 5 })])],
    ['a piece without a digest', () => tableOf([...two, piece(200, 5, { digest: null })])],
    ['members in another order', () => tableOf([piece(100, 10), piece(0, 20)])],
    ['two codecs', () => tableOf([piece(0, 10), piece(100, 20, { codec: 'zstd' })])],
    ['members that lie far apart', () => tableOf([piece(0, 10), piece(2 ** 32, 20)])],
    [
      'zeros',
      () => {
        const builder = new PieceTableBuilder('blob');
        builder.addStored(piece(0, 512));
        builder.addZeros(512);
        return builder.finish(1000);
      },
    ],
    [
      'pieces that follow each other within a sector',
      () => {
        const builder = new PieceTableBuilder('blob');
        builder.addStored(piece(0, 10));
        builder.addStored(piece(100, 10));
        return builder.finish(1000);
      },
    ],
  ];
  t.ok(isPacked(packTable(tableOf(two))));
  for (const [name, make] of others) {
    const table = make();
    t.equal(packTable(table), table, name);
  }
  t.end();
});
