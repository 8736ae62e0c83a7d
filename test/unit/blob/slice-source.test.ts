// A slice of a source that is not a file: its own offsets and its own end. It also passes the common suite in
// test/contract.
import { test } from 'tap';
import { SliceSource } from '../../../daemon/blob/slice-source.js';
import type { DataRuns } from '../../../daemon/lib/disk.js';
import { MemorySource } from '../../support/memory-source.js';
import { randomBytes } from '../../support/pattern.js';

const BYTES = randomBytes(1, 10_000);
const spec = { kind: 'slice', name: 'part', offset: 100, size: 50 } as const;

class Remote extends MemorySource {
  override readonly isLocal = true;
  readonly asked: [string, number, number][] = [];

  override ensure(offset = 0, length = 0): null {
    this.asked.push(['ensure', offset, length]);
    return null;
  }

  override load(offset = 0, length = 0): Promise<void> {
    this.asked.push(['load', offset, length]);
    return Promise.resolve();
  }

  override prefetch(offset = 0, length = 0): Promise<void> {
    this.asked.push(['prefetch', offset, length]);
    return Promise.resolve();
  }

  dataRuns(offset: number, length: number): Promise<DataRuns | null> {
    this.asked.push(['dataRuns', offset, length]);
    const runs = Float64Array.of(offset + 5, offset + length + 1000);
    return Promise.resolve({ begin: offset, runs, end: offset + length });
  }
}

await test('every call is passed on with the offset in the other source', async (t) => {
  const whole = new Remote(BYTES);
  const slice = new SliceSource(spec, whole);
  void slice.ensure(1, 2);
  await slice.load(3, 4);
  await slice.prefetch(40, 100);
  await slice.prefetch(50, 100);
  t.same(whole.asked, [
    ['ensure', 101, 2],
    ['load', 103, 4],
    ['prefetch', 140, 10],
  ]);
  const { begin, runs, end } = (await slice.dataRuns?.(10, 40)) ?? {};
  t.same([begin, [...(runs ?? [])], end], [10, [15, 50], 50], 'up to the end of the slice');
});

await test('bytes outside the slice cannot be read', async (t) => {
  const slice = new SliceSource(spec, new MemorySource(BYTES));
  const past = { code: 'SHORT_READ', message: /^part: read of 11 bytes at 40: .* 10 of them$/ };
  t.throws(() => slice.ensure(40, 11), past);
  await t.rejects(slice.load(40, 11), past);
  t.equal(slice.locate(0, 10, { fd: -1, position: -1 }), false, 'memory is not in a file');
  t.equal(slice.dataRuns, undefined, 'nor does it have holes');
});
