// GUID partition tables: header, backup, both sector sizes, and every number outside its limits.
import t from 'tap';
import { crc32 as zlibCrc32 } from 'node:zlib';
import { crc32 } from '../../../daemon/partition/crc32.js';
import { MAX_ENTRY_SIZE, MAX_GPT_ENTRIES } from '../../../daemon/partition/gpt.js';
import type { PartitionTable } from '../../../daemon/partition/partition.js';
import { findPartition, readPartitionTable } from '../../../daemon/partition/table.js';
import { memoryDisk } from '../../support/memory-disk.js';
import {
  sealGptHeader,
  writeGpt,
  writeMbr,
  type GptOptions,
} from '../../support/partition-writer.js';
import { randomBytes } from '../../support/pattern.js';

const SIZE = 4 << 20;
const ENTRIES = [{ first: 2048, last: 4095, name: 'boot' }, null, { first: 4096, last: 6000 }];

function gpt(
  options: GptOptions = {},
  entries = ENTRIES as Parameters<typeof writeGpt>[1],
): Buffer {
  const disk = Buffer.alloc(SIZE);
  writeGpt(disk, entries, options);
  return disk;
}

const read = (disk: Buffer): Promise<PartitionTable | null> => readPartitionTable(memoryDisk(disk));

await t.test('the checksum is that of zlib', (test) => {
  for (const length of [0, 1, 91, 92, 4096]) {
    const bytes = randomBytes(length + 1, length);
    test.equal(crc32(bytes), zlibCrc32(bytes), `${length} bytes`);
  }
  test.end();
});

await t.test('a table with sectors of 512 bytes, and one with 4096', async (test) => {
  test.match(await read(gpt()), {
    kind: 'gpt',
    sectorSize: 512,
    notes: [],
    partitions: [
      {
        number: 1,
        offset: 1 << 20,
        size: 1 << 20,
        name: 'boot',
        type: '0FC63DAF-8483-4772-8E79-3D69D8477DE4',
        problem: null,
      },
      { number: 3, offset: 2 << 20, size: 1905 * 512, name: '', problem: null },
    ],
  });
  const large = gpt({ sectorSize: 4096, entrySize: 256 }, [
    { first: 100, last: 100, name: 'a'.repeat(36) },
  ]);
  test.match(await read(large), {
    sectorSize: 4096,
    partitions: [{ number: 1, offset: 409600, size: 4096, name: 'a'.repeat(36) }],
  });
  await test.rejects(findPartition(memoryDisk(gpt()), 2), {
    code: 'NOT_FOUND',
    message: 'disk: partition 2: not in the gpt partition table: it has 1, 3',
  });
});

await t.test('the backup table is used if the first one is broken', async (test) => {
  for (const sectorSize of [512, 4096]) {
    const disk = gpt({ sectorSize }, [{ first: 100, last: 200 }]);
    disk[sectorSize + 40]! ^= 1;
    const table = await read(disk);
    test.match(table, { sectorSize, partitions: [{ number: 1, offset: 100 * sectorSize }] });
    test.match(table?.notes, [
      /gpt header checksum at byte \d+: expected 0x.*; its copy at the end/,
    ]);
    // The first header is missing completely.
    disk.fill(0, sectorSize, 2 * sectorSize);
    test.match((await read(disk))?.notes, [/^disk: gpt header: not in sector 1; its copy/]);
  }
  // Entries have their own checksum, and each header its own entries.
  const disk = gpt();
  disk[1024 + 32]! ^= 1;
  test.match((await read(disk))?.notes, [/checksum of the entries at byte 600: expected 0x/]);
  disk.fill(0xff, SIZE - 33 * 512, SIZE - 512);
  await test.rejects(read(disk), {
    code: 'BAD_CHECKSUM',
    message: /gpt header checksum of the entries/,
  });
});

await t.test(
  'every number of a header is checked, and nothing is read for a bad one',
  async (test) => {
    const cases: [what: string, options: GptOptions, message: RegExp, code?: string][] = [
      [
        'shorter than a header',
        { headerSize: 91 },
        /header size at byte 524: expected 92 to 512 bytes, got 91/,
      ],
      ['longer than its sector', { headerSize: 513 }, /header size .* got 513/],
      ['4 GiB long', { headerSize: 0xffff_ffff }, /header size .* got 4294967295/],
      ['of another place', { myLba: 2 }, /own sector at byte 536: expected 1, got 2/],
      [
        'of 2^32 entries',
        { entryCount: 0xffff_ffff },
        new RegExp(`at most ${MAX_GPT_ENTRIES}, got 4294967295`),
        'LIMIT',
      ],
      ['of entries without size', { entrySize: 0 }, /size of an entry .* got 0/],
      ['of entries of 129 bytes', { entrySize: 129 }, /size of an entry .* got 129/],
      ['of long entries', { entrySize: 2 * MAX_ENTRY_SIZE }, /got 8192/],
      [
        'of entries in the header',
        { entriesLba: 1 },
        /place of the entries .* got sectors 1 to 32/,
      ],
      ['of entries in sector 0', { entriesLba: 0 }, /got sectors 0 to 31/],
      ['of entries past the end', { entriesLba: SIZE / 512 - 31 }, /got sectors 8161 to 8192/],
      ['of entries nowhere', { entriesLba: 2n ** 64n - 1n }, /got sectors 18446744073709551615 to/],
    ];
    for (const [what, options, message, code = 'BAD_FORMAT'] of cases) {
      const disk = gpt({ ...options, backup: false }, []);
      if ((options.headerSize ?? 0) > 512) sealGptHeader(disk, 512);
      const memory = memoryDisk(disk);
      await test.rejects(readPartitionTable(memory), { code, message }, what);
      test.ok(memory.done.bytes <= 4 * 4096, `${what}: ${memory.done.bytes} bytes were read`);
    }
  },
);

await t.test('the largest table that is accepted', async (test) => {
  const disk = Buffer.alloc(6 << 20);
  const size = MAX_GPT_ENTRIES * 512;
  const last = { first: 4000, last: 4000 };
  const entries = Array.from({ length: MAX_GPT_ENTRIES }, (_, i) => (i === 1023 ? last : null));
  writeGpt(disk, entries, { entryCount: MAX_GPT_ENTRIES, entrySize: 512 });
  const memory = memoryDisk(disk);
  test.match((await readPartitionTable(memory))?.partitions, [
    { number: 1024, offset: 4000 * 512 },
  ]);
  test.ok(memory.done.bytes < size + 8192);
});

await t.test('partitions outside the disk are refused', async (test) => {
  const disk = gpt({}, [
    { first: 100, last: 99 },
    { first: 100, last: SIZE / 512 },
    { first: 2n ** 63n, last: 2n ** 64n - 1n },
    { first: 0, last: 10 },
    { first: 100, last: SIZE / 512 - 1 },
  ]);
  const table = await read(disk);
  test.same(
    table?.partitions.map(({ problem }) => problem?.got ?? 'good'),
    [
      'sectors 100 to 99',
      'sectors 100 to 8192',
      'sectors 9223372036854775808 to 18446744073709551615',
      'sectors 0 to 10',
      'good',
    ],
  );
  await test.rejects(findPartition(memoryDisk(disk), 2), {
    code: 'BAD_FORMAT',
    message:
      'disk: gpt partition 2 at byte 1184: expected sectors from 1 to 8191, the last of the disk, in order, got sectors 100 to 8192',
  });
});

await t.test('a protective MBR without a GPT is refused', async (test) => {
  const disk = Buffer.alloc(SIZE);
  writeMbr(disk, [{ type: 0xee, begin: 1, count: 8191 }]);
  await test.rejects(read(disk), {
    code: 'BAD_FORMAT',
    message: /gpt header at byte 512: expected "EFI PART"/,
  });
  // On disks that are too small for a GPT.
  for (const sectors of [1, 2, 3]) {
    const small = disk.subarray(0, sectors * 512);
    await test.rejects(read(small), { code: 'BAD_FORMAT' }, `${sectors} sectors`);
  }
});

await t.test('a read error is not reported as a broken table', async (test) => {
  const disk = memoryDisk(gpt());
  const failing = {
    ...disk,
    read: (offset: number, length: number) =>
      offset === 512 ? Promise.reject(new Error('no disk')) : disk.read(offset, length),
  };
  await test.rejects(readPartitionTable(failing), { message: 'no disk' });
});
