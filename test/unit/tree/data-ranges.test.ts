// Ranges that go on where the last one ends are one range.
import { test } from 'tap';
import { appendRange } from '../../../daemon/tree/data-ranges.js';
import type { DataRange } from '../../../daemon/tree/layer-tree.js';

function range(fileOffset: number, length: number, source: number, offset: number): DataRange {
  return { fileOffset, length, source, offset };
}

await test('joined only if file, source and place go on', (t) => {
  const data: DataRange[] = [];
  for (const each of [
    range(0, 512, 0, 0),
    range(512, 512, 0, 512),
    range(1024, 512, 1, 1024),
    range(1536, 512, 1, 2048),
    range(4096, 512, 1, 2560),
  ]) {
    appendRange(data, each);
  }
  t.same(data, [
    range(0, 1024, 0, 0),
    range(1024, 512, 1, 1024),
    range(1536, 512, 1, 2048),
    range(4096, 512, 1, 2560),
  ]);
  t.end();
});
