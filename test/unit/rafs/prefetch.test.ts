// The prefetch table: files, and folders with what is in them, in the order of the table.
import { test } from 'tap';
import { ReaderFactory } from '../../../daemon/image/disks/reader-factory.js';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { packTable } from '../../../daemon/pieces/packed-table.js';
import { PieceTableBuilder } from '../../../daemon/pieces/piece-table.js';
import type { StoredRange } from '../../../daemon/pieces/pieces-source.js';
import { readBootstrap } from '../../../daemon/rafs/bootstrap.js';
import { ImageBytes } from '../../../daemon/rafs/image-bytes.js';
import { MAX_PREFETCH_RANGES } from '../../../daemon/rafs/limits.js';
import { readPrefetchTable, storedRanges } from '../../../daemon/rafs/prefetch.js';
import { readSuperblock } from '../../../daemon/rafs/superblock.js';
import { randomBytes } from '../../support/pattern.js';
import { writeRafs, type RafsFile } from '../../support/rafs-writer.js';

const FILES: RafsFile[] = [
  { path: '', type: 'dir' },
  { path: 'a', type: 'reg', bytes: randomBytes(1, 5000) },
  { path: 'b', type: 'dir' },
  { path: 'b/c', type: 'dir' },
  { path: 'b/c/d', type: 'reg', bytes: randomBytes(2, 4096) },
  { path: 'b/e', type: 'reg', bytes: randomBytes(3, 4096) },
  { path: 'f', type: 'reg', bytes: randomBytes(4, 4096) },
];
const readers = new ReaderFactory();
const tools = {
  effort: UNBOUNDED,
  decoders: () => ({ zstd: readers.zstdDecoders(), lz4: readers.decoder('lz4') }),
};

/** @param paths at most two */
async function wanted(...paths: string[]): Promise<readonly StoredRange[]> {
  const { bootstrap, blobs, at } = writeRafs(FILES, { codec: 'none' });
  for (let i = 0; i < 2; i++) {
    const path = paths[i];
    const nid = path === undefined ? 0 : at.inode(path) / 32;
    bootstrap.writeUInt32LE(nid, at.prefetch + 4 * i);
  }
  const [bytes] = [...blobs.values()];
  const { blobs: needed } = await readBootstrap('image.boot', bootstrap, tools);
  const spec = await needed[0]?.pieces('blob', bytes?.length ?? 0, UNBOUNDED);
  return spec?.prefetch ?? [];
}

await test('files and folders', async (t) => {
  t.same(await wanted(), []);
  t.same(await wanted('a'), [{ begin: 0, end: 5000 }]);
  t.same(await wanted('f', 'a'), [
    { begin: 13_192, end: 17_288 },
    { begin: 0, end: 5000 },
  ]);
  const [first, second] = await wanted('b', 'a');
  t.match(first, { begin: 5000, end: 13_192 }, 'what follows each other is one range');
  t.match(second, { begin: 0, end: 5000 });
  t.same(await wanted(''), [{ begin: 0, end: 17_288 }]);
  t.same(await wanted('b/e', 'b/c'), [
    { begin: 9096, end: 13_192 },
    { begin: 5000, end: 9096 },
  ]);
});

await test('pieces of zeros are not stored', (t) => {
  const builder = new PieceTableBuilder('blob');
  builder.addZeros(512);
  const digest = Buffer.alloc(32);
  builder.addStored({ codec: 'stored', begin: 7, inner: 0, length: 512, digest, stored: 512 });
  const table = packTable(builder.finish(600));
  t.same(storedRanges(table, [{ offset: 0, length: 512 }]), []);
  t.same(storedRanges(table, [{ offset: 0, length: 513 }]), [{ begin: 7, end: 519 }]);
  t.end();
});

await test('at most MAX_PREFETCH_RANGES ranges: further ones are left out', (t) => {
  const builder = new PieceTableBuilder('blob');
  const count = MAX_PREFETCH_RANGES + 1;
  const digest = Buffer.alloc(32);
  // Members with a byte between them are not joined.
  for (let i = 0; i < count; i++) {
    builder.addStored({ codec: 'stored', begin: 2 * i, inner: 0, length: 1, digest, stored: 1 });
    builder.align();
  }
  const table = packTable(builder.finish(2 * count));
  const ranges = storedRanges(table, [{ offset: 0, length: table.size }]);
  t.equal(ranges.length, MAX_PREFETCH_RANGES);
  t.same(ranges.at(-1), { begin: 2 * count - 4, end: 2 * count - 3 });
  t.end();
});

await test('at most MAX_PREFETCH_RANGES inodes of the table', (t) => {
  const { bootstrap } = writeRafs(FILES, { codec: 'none' });
  const superblock = readSuperblock(new ImageBytes('image.boot', bootstrap));
  const count = MAX_PREFETCH_RANGES + 1;
  const bytes = Buffer.alloc(superblock.inodesAt + 32 * (count + 1));
  for (let i = 0; i < count; i++) bytes.writeUInt32LE(i + 1, 4 * i);
  const image = new ImageBytes('image.boot', bytes);
  const prefetch = { offset: 0, size: 4 * count };
  const { ranks } = readPrefetchTable(image, { ...superblock, prefetch });
  t.equal(ranks.size, MAX_PREFETCH_RANGES);
  t.equal(ranks.get(MAX_PREFETCH_RANGES), MAX_PREFETCH_RANGES - 1);
  t.end();
});
