// Reading an archive from a source: which bytes are read, and in which pieces.
import { test } from 'tap';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { readArchive } from '../../../daemon/tarball/read-archive.js';
import { writeArchive } from '../../support/archive-writer.js';
import { MemorySource } from '../../support/memory-source.js';

const MIB = 1 << 20;

await test('the contents of large files are skipped', async (t) => {
  const names = Array.from({ length: 8 }, (_, i) => `file${i}`);
  const source = new MemorySource(
    writeArchive(names.map((name) => ({ name, content: Buffer.alloc(MIB) }))),
  );
  t.equal((await readArchive(source, UNBOUNDED)).count, 8);
  const total = source.reads.reduce((sum, [, length]) => sum + length, 0);
  t.ok(total < MIB / 2, `${total} bytes of ${source.size}`);
});

await test('small files are read in large pieces', async (t) => {
  const names = Array.from({ length: 8000 }, (_, i) => `file${i}`);
  const source = new MemorySource(writeArchive(names.map((name) => ({ name, content: 'small' }))));
  t.equal((await readArchive(source, UNBOUNDED)).count, 8000);
  t.ok(source.reads.length < 20, `${source.reads.length} reads of ${source.size} bytes`);
  t.ok(Math.max(...source.reads.map(([, length]) => length)) <= MIB);
});

await test('work is announced, and other work gets its turn', async (t) => {
  const names = Array.from({ length: 1000 }, (_, i) => `file${i}`);
  const source = new MemorySource(writeArchive(names.map((name) => ({ name }))));
  let units = 0;
  let turns = 0;
  await readArchive(source, {
    ...UNBOUNDED,
    spend: (more) => void (units += more),
    turn: () => {
      turns++;
      return Promise.resolve();
    },
  });
  t.ok(units >= 16_000, `${units} units`);
  t.ok(turns >= 4, `${turns} turns`);
  const tooMuch = {
    ...UNBOUNDED,
    spend: () => {
      throw new Error('too much');
    },
  };
  await t.rejects(readArchive(source, tooMuch), { message: 'too much' });
});
