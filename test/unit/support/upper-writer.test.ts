// Upper layers as a stopped writer leaves them: both files of the append-only form, and the holes of the sparse form.
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { PADDING_ENTRY, SECTOR } from '../../support/lsmt-layout.js';
import { buildDevice } from '../../support/model.js';
import { readAppendUpper } from '../../support/naive-reader.js';
import { randomBytes } from '../../support/pattern.js';
import { appendUpper, writeSparseUpper } from '../../support/upper-writer.js';

const SIZE = 1 << 20;

await test('append-only: entries in write order, data one after the other', async (t) => {
  const first = randomBytes(1, 4 * SECTOR);
  const second = randomBytes(2, 2 * SECTOR);
  const { data, index } = appendUpper({
    virtualSize: SIZE,
    writes: [
      { offset: 100, length: 4, data: first },
      { offset: 50, length: 60 },
      { offset: 101, length: 2, data: second },
    ],
  });
  t.equal(data.readUInt32LE(28), 3, 'data header: header and data, not sealed');
  t.equal(index.readUInt32LE(28), 1, 'index header: header alone');
  t.equal(data.readUInt32LE(32), 0);
  t.equal(index.readUInt32LE(32), 4096, 'index offset');
  t.equal(index.readUInt32LE(48), SIZE);
  t.ok(data.subarray(4096).equals(Buffer.concat([first, second])));
  const { entries, segments } = readAppendUpper(data, index);
  t.same(
    entries.map(({ offset, length, moffset, zeroed }) => [offset, length, moffset, zeroed]),
    [
      [100, 4, 8, false],
      [50, 60, 12, true],
      [101, 2, 12, false],
    ],
  );
  const { device } = buildDevice(SIZE, [segments]);
  t.ok(device.subarray(101 * SECTOR, 103 * SECTOR).equals(second), 'the last write wins');
  t.ok(device.subarray(100 * SECTOR, 101 * SECTOR).equals(Buffer.alloc(SECTOR)), 'trimmed');
});

await test('append-only: a long trim takes several entries', async (t) => {
  const { data, index } = appendUpper({
    virtualSize: 64 << 20,
    writes: [{ offset: 0, length: 16384 }],
  });
  t.same(
    readAppendUpper(data, index).entries.map(({ offset, length }) => [offset, length]),
    [
      [0, 16383],
      [16383, 1],
    ],
  );
});

await test('append-only: padding of group commits, a torn tail, stray data', async (t) => {
  const write = { offset: 0, length: 1, data: randomBytes(3, SECTOR) };
  const upper = { virtualSize: SIZE, writes: [write, write, write] };
  const { data, index } = appendUpper({
    ...upper,
    groupCommit: 8,
    tornTail: 8,
    strayData: Buffer.alloc(1000, 1),
  });
  t.equal(index.length, 4096 + 8 * 16 + 8);
  t.equal(data.length, 4096 + 3 * SECTOR + 1000);
  const { entries } = readAppendUpper(data, index);
  t.equal(entries.filter((entry) => entry.offset === PADDING_ENTRY.offset).length, 5);
  t.equal(appendUpper(upper).index.length, 4096 + 3 * 16, 'no padding without group commit');
});

await test('append-only: header fields can be overridden separately', async (t) => {
  const { data, index } = appendUpper({
    virtualSize: SIZE,
    writes: [],
    indexHeader: { virtualSize: SIZE / 2 },
  });
  t.equal(data.readUInt32LE(48), SIZE);
  t.equal(index.readUInt32LE(48), SIZE / 2);
});

await test('sparse: sector x is at byte 4096 + 512 x, the rest is holes', async (t) => {
  const folder = t.testdir();
  const [dataPath, indexPath] = [join(folder, 'upper.data'), join(folder, 'upper.index')];
  const content = randomBytes(4, 4096);
  writeSparseUpper(dataPath, indexPath, {
    virtualSize: 8 << 20,
    writes: [{ offset: 8192, length: 8, data: content }],
  });
  const data = readFileSync(dataPath);
  t.equal(data.length, 4096 + (8 << 20));
  t.equal(data.readUInt32LE(28), 19, 'header, data, sparse');
  t.ok(data.subarray(4096 + 8192 * SECTOR, 4096 + 8200 * SECTOR).equals(content));
  t.equal(statSync(indexPath).size, 0);
  t.ok(statSync(dataPath).blocks * 512 < 1 << 20, 'the file system stores far less than its size');
});

await test('sparse: a trim is refused', async (t) => {
  const folder = t.testdir();
  const write = () => {
    writeSparseUpper(join(folder, 'd'), join(folder, 'i'), {
      virtualSize: SIZE,
      writes: [{ offset: 5, length: 1 }],
    });
  };
  t.throws(write, { message: 'sparse upper: trim at 5, a hole cannot record it' });
});
