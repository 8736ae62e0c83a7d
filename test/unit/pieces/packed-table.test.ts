// Tables of pieces in the least memory: how many bytes a file takes of each kind of table.
import { test } from 'tap';
import { isPacked, packedBytes, packTable } from '../../../daemon/pieces/packed-table.js';
import {
  PieceTableBuilder,
  tableBytes,
  type PieceTable,
} from '../../../daemon/pieces/piece-table.js';
import { packedTables } from '../../support/piece-tables.js';

await test('files of each kind of table take at most 40 bytes', (t) => {
  const count = 3200;
  for (const { name, table, most } of packedTables(count)) {
    const packed = packTable(table);
    const bytes = packedBytes(packed) / count;
    t.ok(isPacked(packed));
    t.ok(bytes <= most, `${name}: ${bytes.toFixed(1)} bytes, at most ${most}`);
    t.ok(bytes < tableBytes(table) / count - 15, name);
    t.match(packed, { count: table.count, size: table.size, members: table.begins.length });
  }
  t.end();
});

await test('bytes are those of the arrays', (t) => {
  for (const { name, table } of packedTables(100)) {
    t.equal(packedBytes(packTable(table)), arrayBytes(packTable(table)), name);
  }
  const empty: PieceTable = new PieceTableBuilder('blob').finish(10);
  t.equal(packedBytes(packTable(empty)), 0);
  t.notOk(isPacked(empty));
  t.end();
});

/** Of all arrays in an object, however deep. */
function arrayBytes(value: unknown): number {
  if (ArrayBuffer.isView(value)) return value.byteLength;
  if (typeof value !== 'object' || value === null) return 0;
  return Object.values(value).reduce<number>((sum, each) => sum + arrayBytes(each), 0);
}
