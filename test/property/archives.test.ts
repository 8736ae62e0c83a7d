// Random layers as archives: what is read back is what was written, from a source, from a stream of pieces of any length,
// and from gzip; and damaged archives whose headers have the right checksum.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import tap, { test } from 'tap';
import { readFully, type BlobSource } from '../../daemon/blob/source.js';
import { loadAround, ReaderFactory } from '../../daemon/image/disks/reader-factory.js';
import { indexGzip } from '../../daemon/inflate/index-gzip.js';
import { UNBOUNDED } from '../../daemon/lib/effort.js';
import { PiecesSource } from '../../daemon/pieces/pieces-source.js';
import { ArchiveStream } from '../../daemon/tarball/archive-stream.js';
import { readArchive } from '../../daemon/tarball/read-archive.js';
import type { LayerTree } from '../../daemon/tree/layer-tree.js';
import { arbitraryLayers } from '../support/arbitrary-trees.js';
import { sealArchiveHeader } from '../support/archive-writer.js';
import { writeDrafts } from '../support/draft-archive.js';
import { blobs, mustBeHandled, mutate, mutations } from '../support/hostile-blobs.js';
import { usualOrLong } from '../support/long-tests.js';
import { MemorySource } from '../support/memory-source.js';
import { SEED } from '../support/seed.js';
import { treeOf } from '../support/trees.js';

await loadAround();

fc.configureGlobal({ seed: SEED });
tap.setTimeout(900_000);

/** Everything but the places of the bytes, as text. */
function linesOf(tree: LayerTree): string[] {
  return Array.from({ length: tree.count }, (_, i) => {
    const { data, xattrs, ...entry } = { ...tree.entry(i), position: 0 };
    const values = [...(xattrs ?? [])].map(([name, value]) => [name, Buffer.from(value)]);
    // Ranges that follow each other in the archive are one.
    const stored = data.reduce((sum, { length }) => sum + length, 0);
    return JSON.stringify({ ...entry, values, stored });
  });
}

async function contentsOf(tree: LayerTree, source: BlobSource): Promise<Buffer[]> {
  const all: Buffer[] = [];
  for (let i = 0; i < tree.count; i++) {
    const { type, size, data } = tree.entry(i);
    if (type !== 'reg') continue;
    const content = Buffer.alloc(size);
    for (const { fileOffset, length, offset } of data) {
      content.set(await readFully(source, offset, length), fileOffset);
    }
    all.push(content);
  }
  return all;
}

function same(got: readonly string[], wanted: readonly string[], where: string): void {
  if (got.join('\n') !== wanted.join('\n')) throw new Error(`another tree ${where}`);
}

await test('what was written is read back', async (t) => {
  const layers = arbitraryLayers(1, 12).map(([layer = []]) => layer);
  const cases = fc.asyncProperty(
    layers,
    fc.nat(3),
    fc.integer({ min: 1, max: 3000 }),
    async (drafts, form, n) => {
      const expected = linesOf(treeOf(drafts));
      const { bytes, contents } = writeDrafts(drafts, form);
      const files = drafts.flatMap(({ path }, i) =>
        /(?:^|\/)\.wh\./.test(path) ? [] : (contents.get(i) ?? []),
      );
      const source = new MemorySource(bytes);
      const tree = await readArchive(source, UNBOUNDED);
      same(linesOf(tree), expected, 'from a source');
      const read = await contentsOf(tree, source);
      if (!Buffer.concat(read).equals(Buffer.concat(files))) throw new Error('contents');
      const stream = new ArchiveStream('stream');
      for (let at = 0; at < bytes.length; at += n) stream.add(bytes.subarray(at, at + n));
      same(linesOf(stream.finish()), expected, 'from a stream');
      const stored = gzipSync(bytes, { memLevel: 1 + (n % 9) });
      const inGzip = new ArchiveStream('gzip');
      const table = await indexGzip(new MemorySource(stored), UNBOUNDED, (p) => inGzip.add(p), n);
      const around = new PiecesSource(
        { kind: 'pieces', name: 'gzip', table },
        new MemorySource(stored),
        new ReaderFactory().pieceTools(),
      );
      const again = await contentsOf(inGzip.finish(), around);
      if (!Buffer.concat(again).equals(Buffer.concat(files))) throw new Error('contents in gzip');
    },
  );
  await fc.assert(cases, { numRuns: usualOrLong(200, 400) });
  t.pass();
});

/** Damage of other fields is not hidden by the checksum. */
function sealed(archive: Buffer): Buffer {
  for (let at = 0; at + 512 <= archive.length; at += 512) {
    if (archive.toString('latin1', at + 257, at + 262) !== 'ustar') continue;
    sealArchiveHeader(archive.subarray(at, at + 512));
  }
  return archive;
}

await test('damaged archives with right checksums are opened or refused', async (t) => {
  const path = join(t.testdir(), 'layer');
  writeFileSync(path, '');
  const cases = fc.asyncProperty(mutations, fc.boolean(), async (damage, isZipped) => {
    const bytes = sealed(Buffer.from(mutate(blobs['archive of files'] as Buffer, damage)));
    writeFileSync(path, isZipped ? gzipSync(bytes) : bytes);
    await mustBeHandled([path]);
  });
  await fc.assert(cases, { numRuns: usualOrLong(300, 600) });
  t.pass();
});
