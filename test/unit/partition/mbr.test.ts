// Partition tables of master boot records: what Linux finds in the same bytes, and hostile chains.
import t from 'tap';
import { findPartition, readPartitionTable } from '../../../daemon/partition/table.js';
import { MAX_LOGICAL } from '../../../daemon/partition/mbr.js';
import { memoryDisk } from '../../support/memory-disk.js';
import { writeMbr } from '../../support/partition-writer.js';

const SECTORS = 4096;
const empty = (): Buffer => Buffer.alloc(SECTORS * 512);

await t.test('primary partitions keep the number of their entry', async (test) => {
  const disk = empty();
  writeMbr(disk, [
    { type: 0x83, begin: 100, count: 200, bootable: 0x80 },
    null,
    { type: 0x07, begin: 400, count: SECTORS - 400 },
  ]);
  const table = await readPartitionTable(memoryDisk(disk));
  test.same(table, {
    kind: 'mbr',
    sectorSize: 512,
    notes: [],
    partitions: [
      { number: 1, offset: 51200, size: 102400, type: '0x83', name: '', problem: null },
      {
        number: 3,
        offset: 204800,
        size: (SECTORS - 400) * 512,
        type: '0x07',
        name: '',
        problem: null,
      },
    ],
  });
  test.equal((await findPartition(memoryDisk(disk), 3)).offset, 204800);
  await test.rejects(findPartition(memoryDisk(disk, 'x.img'), 2), {
    code: 'NOT_FOUND',
    message: 'x.img: partition 2: not in the mbr partition table: it has 1, 3',
  });
});

await t.test('logical partitions begin at 5, in any place of the extended one', async (test) => {
  const disk = empty();
  writeMbr(disk, [
    null,
    { type: 0x0f, begin: 1000, count: 2000 },
    { type: 0x83, begin: 8, count: 8 },
  ]);
  writeMbr(
    disk,
    [
      { type: 0x83, begin: 16, count: 100 },
      { type: 0x05, begin: 500, count: 300 },
    ],
    1000,
  );
  // A record without a partition is skipped.
  writeMbr(disk, [null, { type: 0x85, begin: 900, count: 300 }], 1500);
  writeMbr(disk, [{ type: 0x82, begin: 32, count: 50 }], 1900);
  const table = await readPartitionTable(memoryDisk(disk));
  test.same(table?.notes, []);
  test.match(table?.partitions, [
    { number: 2, problem: { section: 'mbr partition 2', got: /extended/ } },
    { number: 3, offset: 8 * 512, problem: null },
    { number: 5, offset: 1016 * 512, size: 100 * 512, type: '0x83', problem: null },
    { number: 6, offset: 1932 * 512, size: 50 * 512, type: '0x82', problem: null },
  ]);
  await test.rejects(findPartition(memoryDisk(disk), 2), {
    code: 'BAD_FORMAT',
    message:
      'disk: mbr partition 2 at byte 466: expected a partition with data (logical partitions have numbers from 5 on), got an extended partition (type 0x0f)',
  });
});

await t.test('a partition past the end is refused by name, the others are not', async (test) => {
  const disk = empty();
  writeMbr(disk, [
    { type: 0x83, begin: 8, count: SECTORS },
    { type: 0x83, begin: 0xffff_ffff, count: 0xffff_ffff },
    { type: 0x83, begin: SECTORS - 1, count: 1 },
  ]);
  await test.rejects(findPartition(memoryDisk(disk), 1), {
    code: 'BAD_FORMAT',
    message: `disk: mbr partition 1 at byte 454: expected sectors below ${SECTORS}, the end of the disk, got sectors 8 to ${SECTORS + 7}`,
  });
  await test.rejects(findPartition(memoryDisk(disk), 2), { code: 'BAD_FORMAT' });
  test.equal((await findPartition(memoryDisk(disk), 3)).size, 512);
});

await t.test('chains without an end, and chains that lead outside', async (test) => {
  const extended = { type: 0x05, begin: 100, count: 3000 };
  const chain = async (
    make: (disk: Buffer) => void,
  ): Promise<[numbers: number[], note: string]> => {
    const disk = empty();
    writeMbr(disk, [extended]);
    make(disk);
    const memory = memoryDisk(disk);
    const table = await readPartitionTable(memory);
    test.ok(memory.done.reads <= MAX_LOGICAL + 2, `${memory.done.reads} reads`);
    return [table?.partitions.map(({ number }) => number) ?? [], table?.notes.join() ?? ''];
  };
  const [itself, toItself] = await chain((disk) => {
    writeMbr(
      disk,
      [
        { type: 0x83, begin: 1, count: 1 },
        { type: 0x05, begin: 0, count: 9 },
      ],
      100,
    );
  });
  test.same(itself, [1, 5]);
  test.match(toItself, 'expected a record that was not read before, got sector 100 again');

  const [ring, toRing] = await chain((disk) => {
    writeMbr(
      disk,
      [
        { type: 0x83, begin: 1, count: 1 },
        { type: 0x05, begin: 50, count: 9 },
      ],
      100,
    );
    writeMbr(
      disk,
      [
        { type: 0x83, begin: 1, count: 1 },
        { type: 0x05, begin: 0, count: 9 },
      ],
      150,
    );
  });
  test.same(ring, [1, 5, 6]);
  test.match(toRing, 'sector 100 again');

  const [past, toPast] = await chain((disk) => {
    writeMbr(disk, [null, { type: 0x05, begin: 0xffff_fff0, count: 9 }], 100);
  });
  test.same(past, [1]);
  test.match(
    toPast,
    `mbr extended boot record 1 at byte ${100 * 512 + 470}: expected a sector below`,
  );

  const [none, toNone] = await chain(() => undefined);
  test.same(none, [1]);
  test.match(toNone, 'expected 0x55aa at its end, got none in sector 100');

  // Four partitions in each record, each record linked: more than the limit.
  const [many, toMany] = await chain((disk) => {
    for (let at = 100; at < 2000; at++) {
      const data = { type: 0x83, begin: 1, count: 1 };
      writeMbr(disk, [data, data, data, { type: 0x05, begin: at - 99, count: 1 }], at);
    }
  });
  test.equal(many.length, 1 + MAX_LOGICAL);
  test.match(toMany, `at most ${MAX_LOGICAL} logical partitions`);
  const [long, toLong] = await chain((disk) => {
    for (let at = 100; at < 2000; at++) {
      writeMbr(disk, [null, { type: 0x05, begin: at - 99, count: 1 }], at);
    }
  });
  test.same(long, [1]);
  test.match(toLong, `at most ${MAX_LOGICAL} records`);
  const disk = empty();
  writeMbr(disk, [extended]);
  await test.rejects(findPartition(memoryDisk(disk), 5), {
    code: 'NOT_FOUND',
    message: /it has 1; disk: mbr extended boot record 0 .* got none in sector 100$/,
  });
});

await t.test('data that is not a partition table', async (test) => {
  const none = async (bytes: Buffer, what: string): Promise<void> => {
    test.equal(await readPartitionTable(memoryDisk(bytes)), null, what);
  };
  await none(empty(), 'no signature');
  await none(Buffer.alloc(511, 0x55), 'shorter than a sector');
  const entriesOfNothing = empty();
  writeMbr(entriesOfNothing, []);
  await none(entriesOfNothing, 'a signature, and no entries: the boot code of a file system');
  const boot = empty();
  writeMbr(boot, [{ type: 0x83, begin: 1, count: 1, bootable: 0x41 }]);
  await none(boot, 'the text of a boot sector where entries would be');
  await test.rejects(findPartition(memoryDisk(empty(), 'a.img'), 1), {
    code: 'NOT_FOUND',
    message: 'a.img: partition 1: the disk has no partition table (neither GPT nor MBR)',
    facts: { blob: 'a.img' },
  });
});
