// The index of the device.
import { test } from 'tap';
import type { DeviceRows } from '../../../daemon/erofs/contents.js';
import { indexOf } from '../../../daemon/erofs/device-index.js';
import { LsmtIndex } from '../../../daemon/lsmt/merged-index.js';

function rowsOf(...rows: [number, number, number, number][]): DeviceRows {
  const column = (k: number): number[] => rows.map((row) => row[k] as number);
  return {
    count: rows.length,
    sectors: Float64Array.from(column(0)),
    lengths: Float64Array.from(column(1)),
    sources: Uint8Array.from(column(2)),
    moffsets: Float64Array.from(column(3)),
  };
}

function segmentsOf(rows: DeviceRows, size: number): number[][] {
  const index = new LsmtIndex(indexOf(rows, size, 'image'));
  return Array.from({ length: index.count }, (_, i) => [
    index.offsetOf(i),
    index.lengthOf(i),
    index.layerOf(i),
    index.moffsetOf(i),
  ]);
}

await test('rows become segments, and those that follow each other become one', (t) => {
  const rows = rowsOf([0, 16, 0, 0], [16, 8, 1, 100], [24, 8, 1, 108], [40, 1, 255, 3]);
  t.same(segmentsOf(rows, 41 * 512), [
    [0, 16, 0, 0],
    [16, 16, 1, 100],
    [40, 1, 255, 3],
  ]);
  t.end();
});

await test('a file of any length is one segment, and far offsets are exact', (t) => {
  const far = 2 ** 33;
  const rows = rowsOf([0, 8, 0, 0], [8, 10_000_000, 1, far], [far, 1, 2, 7]);
  t.same(segmentsOf(rows, (far + 8) * 512), [
    [0, 8, 0, 0],
    [8, 10_000_000, 1, far],
    [far, 1, 2, 7],
  ]);
  t.end();
});

await test('more pieces than there may be are refused', (t) => {
  const rows = rowsOf([0, 0x3fff * 12_000_001, 1, 0]);
  t.throws(() => indexOf(rows, 2 ** 52, 'image'), {
    code: 'LIMIT',
    message: 'image: 12000001 pieces of contents, at most 12000000',
  });
  t.end();
});
