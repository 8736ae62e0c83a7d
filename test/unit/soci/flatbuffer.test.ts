// Flatbuffers: what fields have, and offsets, lengths and counts that lead out of the bytes.
import { test } from 'tap';
import { rootTable } from '../../../daemon/soci/flatbuffer.js';
import { writeFlat, type FlatValue } from '../../support/flat-writer.js';

const FIELDS: FlatValue[] = [
  { i8: -5 },
  { i32: -70_000 },
  { u32: 0xffff_fffe },
  { i64: 2 ** 53 - 1 },
  { bytes: 'a\xff\0b' },
  { table: [{ i32: 7 }] },
  { tables: [[{ u32: 1 }], [], [{ u32: 3 }]] },
  { texts: ['', 'x', 'yy'] },
];

await test('fields', (t) => {
  const root = rootTable(writeFlat(FIELDS), 'blob', 'ztoc');
  t.equal(root.int8(0), -5);
  t.equal(root.int32(1), -70_000);
  t.equal(root.uint32(2), 0xffff_fffe);
  t.equal(root.whole(3, 'size'), 2 ** 53 - 1);
  t.equal(root.text(4), 'a\xff\0b');
  t.same(root.bytes(4), Buffer.from('a\xff\0b', 'latin1'));
  t.equal(root.table(5)?.int32(0), 7);
  const tables = root.tables(6);
  t.same(
    Array.from({ length: tables.count }, (_, i) => tables.at(i).uint32(0)),
    [1, 0, 3],
  );
  const texts = root.texts(7);
  t.same(
    Array.from({ length: texts.count }, (_, i) => texts.at(i)),
    ['', 'x', 'yy'],
  );
  t.end();
});

await test('absent fields have their defaults', (t) => {
  for (const fields of [[], Array<null>(8).fill(null)]) {
    const root = rootTable(writeFlat(fields), 'blob', 'ztoc');
    t.equal(root.int8(0, 9), 9);
    t.equal(root.int32(1), 0);
    t.equal(root.uint32(2), 0);
    t.equal(root.whole(3, 'size'), 0);
    t.equal(root.text(4), '');
    t.equal(root.bytes(4), null);
    t.equal(root.table(5), null);
    t.equal(root.tables(6).count, 0);
    t.equal(root.texts(7).count, 0);
  }
  t.end();
});

await test('numbers that are too large, and negative ones', (t) => {
  for (const value of [2n ** 53n, 2n ** 62n, -1n, -(2n ** 63n)]) {
    const root = rootTable(writeFlat([{ i64: value }]), 'blob', 'ztoc');
    t.throws(() => root.whole(0, 'size'), {
      code: 'BAD_FORMAT',
      message: new RegExp(`^blob: ztoc at byte \\d+: expected size: .*, got ${value}$`),
    });
  }
  t.end();
});

function readAll(bytes: Buffer): void {
  const root = rootTable(bytes, 'blob', 'ztoc');
  root.int8(0);
  root.int32(1);
  root.uint32(2);
  root.whole(3, 'size');
  root.text(4);
  root.table(5)?.int32(0);
  const tables = root.tables(6);
  for (let i = 0; i < tables.count; i++) tables.at(i).uint32(0);
  const texts = root.texts(7);
  for (let i = 0; i < texts.count; i++) texts.at(i);
}

await test('every number of a buffer may be wrong', (t) => {
  const good = writeFlat(FIELDS);
  readAll(good);
  let refused = 0;
  for (let at = 0; at < good.length; at++) {
    for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
      const bad = Buffer.from(good);
      bad[at] = value;
      try {
        readAll(bad);
      } catch (error) {
        refused++;
        if ((error as { code?: string }).code !== 'BAD_FORMAT') throw error;
      }
    }
  }
  t.ok(refused > 200, `${refused} refused`);
  for (let length = 0; length < good.length - 1; length++) {
    try {
      readAll(good.subarray(0, length));
    } catch (error) {
      if ((error as { code?: string }).code !== 'BAD_FORMAT') throw error;
    }
  }
  t.end();
});

await test('offsets that lead to the same bytes again and again', (t) => {
  const bytes = writeFlat([
    { texts: Array<string>(2000).fill('') },
    { bytes: 'x'.repeat(100_000) },
  ]);
  const root = rootTable(bytes, 'blob', 'ztoc');
  // All texts are the long one.
  const vector = bytes.indexOf(Buffer.from([0xd0, 7, 0, 0]));
  const long = bytes.indexOf('xxxx') - 4;
  for (let i = 0; i < 2000; i++) {
    const item = vector + 4 + 4 * i;
    bytes.writeUInt32LE(long - item, item);
  }
  const texts = root.texts(0);
  t.equal(texts.at(0).length, 100_000);
  t.throws(
    () => {
      for (let i = 0; i < texts.count; i++) texts.at(i);
    },
    {
      code: 'LIMIT',
      message: `at most ${4 * bytes.length} bytes of all that offsets lead to, got more`,
    },
  );
  t.end();
});
