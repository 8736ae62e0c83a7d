// From paths to bytes of the device: files, directories, symlinks, each once and in order; what is not there or damaged
// is counted.
import t from 'tap';
import { Ext4 } from '../../../daemon/ext4/file-system.js';
import { rangesOfPaths, type ListedRanges } from '../../../daemon/ext4/listed-ranges.js';
import { BLOCK, Ext4Writer } from '../../support/ext4-writer.js';

const EVERYTHING = Number.MAX_SAFE_INTEGER;

/** /bin/a, /bin/b, /bin/sub/c, a symlink of each kind, and a device. */
function written(): Ext4Writer {
  const fs = new Ext4Writer();
  fs.directory(2, 100, { '..': 2, bin: 11, link: 16, out: 17, console: 18 });
  fs.directory(11, 101, { '..': 2, a: 12, b: 13, sub: 14, 'to c': 19, gone: 20, up: 21 });
  fs.directory(14, 102, { '..': 11, c: 15 });
  fs.file(12, 110, 3);
  fs.file(13, 120, 1);
  fs.file(15, 130, 2);
  fs.link(16, 'bin/sub/../a');
  fs.link(17, '/../../bin/b');
  fs.inode(18, { kind: 'other' });
  fs.link(19, 'sub/c');
  fs.link(20, '/nowhere');
  fs.link(21, '..');
  return fs;
}

async function listed(
  paths: readonly string[],
  { device }: Ext4Writer = written(),
  maxBytes = EVERYTHING,
): Promise<{ blocks: number[][] } & Omit<ListedRanges, 'ranges'>> {
  const fs = (await Ext4.open(device)) as Ext4;
  const { ranges, ...found } = await rangesOfPaths(fs, paths, maxBytes);
  const blocks = ranges.map(({ offset, length }) => [offset / BLOCK, length / BLOCK]);
  return { blocks, ...found };
}

const GOOD = { missing: 0, damaged: 0, damage: null };

await t.test('files, in the order of the list, each once', async (test) => {
  const a = [110, 3];
  const b = [120, 1];
  test.same(await listed(['/bin/b', 'bin/a', '/bin/b']), { ...GOOD, blocks: [b, a] });
  test.same(await listed(['/link', '/bin/a', '/out']), { ...GOOD, blocks: [a, b] });
  test.same(await listed(['/bin/sub/c']), { ...GOOD, blocks: [[130, 2]] });
});

await t.test('all files below a directory', async (test) => {
  const all = [
    [110, 3],
    [120, 1],
    [130, 2],
  ];
  for (const path of ['/bin/', 'bin/*', '/', '/*', '//bin///']) {
    const { blocks, ...rest } = await listed([path]);
    test.same(
      blocks.toSorted(([a = 0], [b = 0]) => a - b),
      all,
      path,
    );
    test.same(rest, GOOD);
  }
  test.same((await listed(['/bin/sub/*', '/bin/'])).blocks[0], [130, 2]);
  test.same(await listed(['/bin/up/bin/sub/']), { ...GOOD, blocks: [[130, 2]] });
});

await t.test('a directory without a slash is its entries', async (test) => {
  test.same(await listed(['/bin']), { ...GOOD, blocks: [[101, 1]] });
});

await t.test('what has no data has no ranges', async (test) => {
  test.same(await listed(['/console']), { ...GOOD, blocks: [] });
});

await t.test('what is not there is counted', async (test) => {
  const paths = [
    '/nothing',
    '/bin/a/',
    '/bin/a/b',
    '/bin/gone',
    '*',
    '/bin/*/c',
    '/bin/A',
    'x'.repeat(4097),
  ];
  test.same(await listed([...paths, '/bin/b']), {
    ...GOOD,
    missing: paths.length,
    blocks: [[120, 1]],
  });
});

await t.test('damage is counted, and the others are found', async (test) => {
  const fs = written();
  fs.inodeBytes(14).writeUInt16LE(0, 0x28);
  const { damage, ...rest } = await listed(['/bin/sub/c', '/bin/sub/', '/bin/b'], fs);
  test.same(rest, { missing: 0, damaged: 2, blocks: [[120, 1]] });
  test.match(damage?.message, /^disk: ext4 extent tree of inode 14 at byte 0: expected .*, got 0$/);
});

await t.test('no more bytes than were allowed', async (test) => {
  const { blocks } = await listed(['/bin/a', '/bin/sub/c', '/bin/b'], written(), 4 * BLOCK);
  test.same(blocks, [
    [110, 3],
    [130, 1],
  ]);
});

await t.test('a directory that is its own child ends', async (test) => {
  const fs = written();
  fs.directory(14, 102, { '..': 11, c: 15, loop: 14, top: 2 });
  test.same((await listed(['/bin/sub/'], fs)).blocks.length, 3);
});
