// Archives that pass by in pieces: the same tree as from a source, whatever the pieces are.
import { test } from 'tap';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { ArchiveStream } from '../../../daemon/tarball/archive-stream.js';
import { readArchive } from '../../../daemon/tarball/read-archive.js';
import type { LayerTree } from '../../../daemon/tree/layer-tree.js';
import { paxRecord, writeArchive } from '../../support/archive-writer.js';
import { MemorySource } from '../../support/memory-source.js';

const ARCHIVE = writeArchive([
  { name: 'pax', type: 'x', content: paxRecord('path', `${'p/'.repeat(350)}p`) },
  { name: 'a', content: 'x'.repeat(1500) },
  { name: 'empty pax', type: 'x' },
  { name: 'b' },
  { name: '@', type: 'L', content: `${'n/'.repeat(300)}n\0` },
  { name: 'c', content: 'c' },
]);

function streamed(bytes: Buffer, size: number): LayerTree {
  const stream = new ArchiveStream('layer');
  for (let at = 0; at < bytes.length; at += size) stream.add(bytes.subarray(at, at + size));
  return stream.finish();
}

const entriesOf = (tree: LayerTree): unknown[] =>
  Array.from({ length: tree.count }, (_, i) => tree.entry(i));

await test('pieces of any length', async (t) => {
  const expected = entriesOf(await readArchive(new MemorySource(ARCHIVE), UNBOUNDED));
  t.equal(expected.length, 3);
  for (const size of [1, 7, 511, 512, 513, 1000, 5000, ARCHIVE.length]) {
    t.same(entriesOf(streamed(ARCHIVE, size)), expected, `pieces of ${size} bytes`);
  }
});

await test('an end where none may be', (t) => {
  for (const size of [100, 512, 4096]) {
    t.throws(() => streamed(ARCHIVE.subarray(0, 2600), size), {
      code: 'BAD_FORMAT',
      message: / at byte 3584: expected a header, got the end at byte 2600/,
    });
    t.throws(() => streamed(ARCHIVE.subarray(0, 700), size), {
      message: /got the end at byte 700/,
    });
  }
  t.equal(streamed(Buffer.alloc(0), 1).count, 0);
  t.end();
});
