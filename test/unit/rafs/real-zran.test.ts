// The compression information that Nydus wrote of a real tar.gz (zran), as its daemon keeps it: the layout is what the reader
// takes it for. The tar.gz itself is not at hand.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { ReaderFactory } from '../../../daemon/image/disks/reader-factory.js';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import type { BlobChunks } from '../../../daemon/rafs/chunk-table.js';
import { readCompressionInfo } from '../../../daemon/rafs/compression-info.js';
import type { RafsBlob } from '../../../daemon/rafs/blob-table.js';
import { sharedPieces } from '../../../daemon/rafs/shared-chunks.js';
import { requireLazyFixtures } from '../../support/lazy-fixtures.js';
import { MemorySource } from '../../support/memory-source.js';

const NAME = '233c72f2b6b698c07021c4da367cfe2dff4f049efbaa885ca0ff760ea297865a';
const [CHUNKS, CONTEXTS] = [163, 21];
/** Plain bytes of the last context end there in the archive; its stored bytes end after them. */
const BLOB_SIZE = 9_798_811 + 40_210;

await test('contexts follow each other, and each chunk is in its context', async (t) => {
  const folder = requireLazyFixtures(t);
  if (folder === null) return;
  const bytes = readFileSync(join(folder, 'f41-nydus-zran', `${NAME}.blob.meta`));
  const plain = bytes.readUIntLE(bytes.length - 4096 + 32, 6);
  const source = new MemorySource(bytes);
  const blob = { info: { offset: 0, stored: plain, plain, codec: 'stored' }, chunkCount: CHUNKS };
  const readers = new ReaderFactory();
  const decoders = { zstd: readers.zstdDecoders(), lz4: readers.decoder('lz4') };
  const info = await readCompressionInfo(source, blob as RafsBlob, decoders, UNBOUNDED);
  const contexts = Array.from({ length: CONTEXTS }, (_, i) => info.zran(i));
  t.match(contexts[0], { begin: 10, bits: 0, stored: 200_380, plain: 1_052_790 });
  t.equal(contexts[0]?.window.length, 0);
  // Nydus's place is after the byte that has the first bits.
  t.match(contexts[1], { begin: 187_760, bits: 5, stored: 592_814, plain: 1_801_715 });
  t.equal(
    contexts.reduce((sum, { window }) => sum + window.length, 0),
    info.windowBytes,
    'the windows are one after the other',
  );
  let overlaps = 0;
  for (const [i, { begin, stored }] of contexts.entries()) {
    const next = contexts[i + 1];
    if (!next) t.equal(begin + stored, BLOB_SIZE);
    else if (next.begin < begin + stored) overlaps++;
  }
  t.ok(overlaps > 0, 'a context begins with a block, in which the one before may end');

  const all = Array.from({ length: CHUNKS }, (_, number) => {
    const { offset, length } = info.chunk(number);
    return { number, offset, length, isHole: false, digest: Buffer.alloc(32, number) };
  });
  const chunks = {
    blob: { shared: 'zran', hash: 'sha256' },
    all: () => all,
    bad: (_: unknown, expected: string) => new Error(expected),
    addAlone: () => t.fail('a chunk has no context'),
  };
  const table = await sharedPieces(
    chunks as unknown as BlobChunks,
    info,
    'blob',
    BLOB_SIZE,
    UNBOUNDED,
  );
  t.equal(table.count, CHUNKS);
  t.equal(table.codecs.length, CONTEXTS);
});
