// Bootstraps of RAFS with many inodes, and what is too much.
import { test } from 'tap';
import { readBootstrap, type OpenedBootstrap } from '../../../daemon/rafs/bootstrap.js';
import { ImageEffort, TooLargeHere } from '../../../daemon/opener/effort.js';
import { ReaderFactory } from '../../../daemon/image/disks/reader-factory.js';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import type { Decoders } from '../../../daemon/rafs/decode-part.js';
import { largeBootstrap } from '../../support/large-rafs.js';
import { writeRafs, type RafsFile } from '../../support/rafs-writer.js';

const readers = new ReaderFactory();
const decoders = (): Decoders => ({ zstd: readers.zstdDecoders(), lz4: readers.decoder('lz4') });
const TOOLS = { effort: UNBOUNDED, decoders };

function open(bootstrap: Buffer): Promise<OpenedBootstrap> {
  return readBootstrap('image.boot', bootstrap, TOOLS);
}

await test('a large one is refused before it is parsed, if the thread has other work', async (t) => {
  const large = readBootstrap('image.boot', Buffer.alloc(8 << 20), {
    ...TOOLS,
    effort: new ImageEffort(true),
  });
  await t.rejects(large, TooLargeHere);
  const { bootstrap } = writeRafs([{ path: '', type: 'dir' }]);
  await t.resolves(
    readBootstrap('image.boot', bootstrap, { ...TOOLS, effort: new ImageEffort(true) }),
  );
});

await test('inodes whose parts overlap are soon refused', async (t) => {
  const files: RafsFile[] = [{ path: '', type: 'dir' }];
  for (let i = 100; i < 400; i++) files.push({ path: `f${i}`, type: 'reg' });
  const { bootstrap, at } = writeRafs(files);
  for (let i = 100; i < 400; i++) {
    // Holes up to the end of the bootstrap.
    const inode = at.inode(`f${i}`);
    bootstrap.writeUInt32LE(4096 * 1000, inode + 8);
  }
  await t.rejects(open(bootstrap), { code: 'BAD_FORMAT' });
});

await test('many files in many folders', async (t) => {
  const { tree } = await open(largeBootstrap(5001));
  t.equal(tree.count, 1 + 6 + 5001);
  t.equal(tree.pathOf(1), 'folder-00000000');
  const paths = Array.from({ length: tree.count }, (_, i) => tree.pathOf(i));
  t.equal(new Set(paths).size, paths.length);
  t.ok(paths.includes('folder-00000005/000000005000'));
});
