// The data extents of a sparse file, assembled from answers of any length.
import { test } from 'tap';
import { findDataExtents } from '../../../daemon/blob/data-extents.js';
import type { DataRuns } from '../../../daemon/lib/disk.js';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { MemorySource } from '../../support/memory-source.js';

/** Every second 1000 bytes are data, from byte 1000 on; an answer covers `known` bytes. */
class SparseSource extends MemorySource {
  readonly #known: number;

  constructor(size: number, known: number) {
    super(Buffer.alloc(size));
    this.#known = known;
  }

  dataRuns(offset: number, length: number): Promise<DataRuns | null> {
    const end = offset + Math.min(length, this.#known);
    const runs: number[] = [];
    for (let at = Math.floor(offset / 2000) * 2000 + 1000; at < end; at += 2000) {
      if (at + 1000 > offset) runs.push(Math.max(at, offset), Math.min(at + 1000, this.size));
    }
    return Promise.resolve({ begin: offset, runs: Float64Array.from(runs), end });
  }
}

await test('extents do not depend on how many bytes an answer covers', async (t) => {
  const expected = [1000, 2000, 3000, 4000, 5000, 6000, 7000, 7500];
  for (const known of [1, 300, 1000, 1700, 7500]) {
    const found = await findDataExtents(new SparseSource(7500, known), 0, UNBOUNDED);
    t.same([...found], expected, `${known} bytes at a time`);
  }
  const rest = await findDataExtents(new SparseSource(7500, 7500), 3500, UNBOUNDED);
  t.same([...rest], [3500, 4000, 5000, 6000, 7000, 7500]);
});

await test('the effort is charged for extents, and may end the search', async (t) => {
  let units = 0;
  const spend = (n: number): void => {
    units += n;
    if (units > 2) throw new Error('too much');
  };
  const found = findDataExtents(new SparseSource(20_000, 2000), 0, { ...UNBOUNDED, spend });
  await t.rejects(found, { message: 'too much' });
});

await test('a source that knows no holes cannot be a sparse upper', async (t) => {
  await t.rejects(findDataExtents(new MemorySource(Buffer.alloc(10)), 0, UNBOUNDED), {
    code: 'IO',
    message: /cannot tell where it has holes/,
  });
});
