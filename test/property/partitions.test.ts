// Hostile partition tables: for any bytes reading ends, reads little, and names only partitions on the disk.
import * as fc from 'fast-check';
import t from 'tap';
import { OverlaybdError } from '../../daemon/errors.js';
import { readPartitionTable } from '../../daemon/partition/table.js';
import { memoryDisk } from '../support/memory-disk.js';
import { sealGptHeader, writeGpt, writeMbr } from '../support/partition-writer.js';
import { SEED } from '../support/seed.js';
import { holds } from '../support/holds.js';

const SIZE = 1 << 20;
/** The longest list of entries, and about 250 records in a chain. */
const MOST_BYTES = (4 << 20) + (1 << 18);

interface Change {
  at: number;
  value: number;
}

async function agrees(disk: Buffer): Promise<void> {
  const memory = memoryDisk(disk);
  try {
    const table = await readPartitionTable(memory);
    for (const { offset, size, problem } of table?.partitions ?? []) {
      if (problem) continue;
      if (offset < 0 || size < 0 || offset + size > disk.length) {
        throw new Error(`a partition at ${offset}+${size}`);
      }
    }
  } catch (error) {
    // MemoryDisk throws another error for reads outside the disk.
    if (!(error instanceof OverlaybdError)) throw error;
  }
  if (memory.done.bytes > MOST_BYTES) throw new Error(`${memory.done.bytes} bytes were read`);
}

await t.test('changed tables are read or refused', async (test) => {
  const values = fc.oneof(
    fc.constantFrom(0, 1, 2, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 511, 512, 2047, 2048),
    fc.integer({ min: 0, max: 0xffff_ffff }),
  );
  const changes = fc.array(fc.record({ at: fc.nat({ max: 1200 }), value: values }), {
    maxLength: 6,
  });
  const kind = fc.constantFrom<'gpt' | 'gpt4k' | 'mbr'>('gpt', 'gpt4k', 'mbr');
  await holds(
    test,
    fc.asyncProperty(kind, changes, fc.boolean(), async (which, changed: Change[], seal) => {
      const disk = Buffer.alloc(SIZE);
      const sectorSize = which === 'gpt4k' ? 4096 : 512;
      if (which === 'mbr') {
        writeMbr(disk, [
          { type: 0x83, begin: 10, count: 20 },
          { type: 5, begin: 1, count: 900 },
        ]);
        writeMbr(
          disk,
          [
            { type: 0x83, begin: 9, count: 1 },
            { type: 5, begin: 1, count: 9 },
          ],
          1,
        );
        writeMbr(
          disk,
          [
            { type: 0x83, begin: 9, count: 1 },
            { type: 5, begin: 0, count: 9 },
          ],
          2,
        );
      } else {
        writeGpt(
          disk,
          [
            { first: 40, last: 50 },
            { first: 51, last: 60 },
          ],
          { sectorSize },
        );
      }
      const base = which === 'mbr' ? 440 : sectorSize;
      for (const { at, value } of changed) disk.writeUInt32LE(value, base + at);
      if (seal && which !== 'mbr') sealGptHeader(disk, sectorSize);
      await agrees(disk);
    }),
    { seed: SEED, numRuns: 3000 },
  );
});
