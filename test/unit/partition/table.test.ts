// The kind of table that a disk has, and partitions by number; the tables themselves are tested in gpt and mbr.
import { test } from 'tap';
import { findPartition, readPartitionTable } from '../../../daemon/partition/table.js';
import { memoryDisk } from '../../support/memory-disk.js';
import { writeGpt, writeMbr } from '../../support/partition-writer.js';

const SIZE = 256 * 512;

await test('disks with a GPT, with an MBR, and without a table', async (t) => {
  for (const bytes of [Buffer.alloc(SIZE), Buffer.alloc(SIZE, 0x55), Buffer.alloc(100)]) {
    t.equal(await readPartitionTable(memoryDisk(bytes)), null);
    await t.rejects(findPartition(memoryDisk(bytes, 'x.img'), 1), {
      code: 'NOT_FOUND',
      message: 'x.img: partition 1: the disk has no partition table (neither GPT nor MBR)',
    });
  }
});

await test('a protective MBR is not used as the table', async (t) => {
  const disk = Buffer.alloc(SIZE);
  writeGpt(disk, [{ first: 40, last: 50 }]);
  t.match(await readPartitionTable(memoryDisk(disk)), { kind: 'gpt', partitions: [{ number: 1 }] });
  const plain = Buffer.alloc(SIZE);
  writeMbr(plain, [{ type: 0x83, begin: 10, count: 20 }]);
  t.match(await readPartitionTable(memoryDisk(plain)), { kind: 'mbr' });
});

await test('a partition number that the table does not have', async (t) => {
  const disk = Buffer.alloc(SIZE);
  writeGpt(disk, [null, { first: 40, last: 50 }, null, { first: 51, last: 60 }]);
  t.match(await findPartition(memoryDisk(disk), 4), { number: 4, offset: 51 * 512 });
  for (const number of [0, 1, 3, 5, 1e9]) {
    await t.rejects(findPartition(memoryDisk(disk, 'x.img'), number), {
      code: 'NOT_FOUND',
      message: `x.img: partition ${number}: not in the gpt partition table: it has 2, 4`,
    });
  }
  const empty = Buffer.alloc(SIZE);
  writeGpt(empty, []);
  await t.rejects(findPartition(memoryDisk(empty), 1), { message: /table: it has none$/ });
});

await test('a partition that reaches past the disk is listed, and refused', async (t) => {
  const disk = Buffer.alloc(SIZE);
  writeMbr(disk, [{ type: 0x83, begin: 10, count: 1000 }]);
  t.type((await readPartitionTable(memoryDisk(disk)))?.partitions[0]?.problem, 'object');
  await t.rejects(findPartition(memoryDisk(disk), 1), { code: 'BAD_FORMAT' });
});
