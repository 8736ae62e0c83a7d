// The disk of an image of trees: metadata, blobs, and what the log is to say.
import { gzipSync } from 'node:zlib';
import { test } from 'tap';
import { diskOf } from '../../../../daemon/image/stack/open.js';
import { isOfTrees, type OpenedLayer } from '../../../../daemon/image/stack/open-stack.js';
import { ReaderFactory } from '../../../../daemon/image/disks/reader-factory.js';
import { treeImage, type TreeImage } from '../../../../daemon/image/stack/tree-image.js';
import { UNBOUNDED } from '../../../../daemon/lib/effort.js';
import { readErofs } from '../../../support/erofs/reader.js';
import { treeLines } from '../../../support/erofs/tree-lines.js';
import { readRange } from '../../../support/in-process.js';
import { textBytes } from '../../../support/pattern.js';
import { layersIn, layersOf } from '../../../support/tree-layers.js';
import { treeOf } from '../../../support/trees.js';
import { writeUstar } from '../../../support/ustar.js';

/** The lines of the tree as a reactor's thread reads them, from a disk that was posted to it. */
async function linesOf(image: TreeImage): Promise<Record<string, unknown>[]> {
  const blobs = image.sources.flatMap((source) => (source ? { spec: source.blob.raw } : []));
  const shape = {
    index: image.index,
    layers: [image.metadata, ...blobs.keys()],
    unverified: [],
    partition: null,
  };
  const disk = new ReaderFactory().disk(structuredClone(diskOf(shape, blobs)));
  const bytes = await readRange(disk, 0, disk.size);
  const read = (offset: number, length: number): Buffer => bytes.subarray(offset, offset + length);
  return treeLines(readErofs(read, disk.size).entries);
}

const words = textBytes(1, 5000);

await test('several archives are one disk', async (t) => {
  const layers = await layersOf(
    t,
    [
      { name: 'etc/', type: '5', mode: 0o755, mtime: 5 },
      { name: 'etc/words', bytes: words, mtime: 7 },
      { name: 'etc/gone', bytes: words },
      { name: 'link', type: '2', link: 'etc/words' },
    ],
    [{ name: 'empty' }],
    [
      { name: 'etc/.wh.gone' },
      { name: 'etc/short', bytes: Buffer.from('short') },
      { name: 'hard', type: '1', link: 'etc/words' },
    ],
  );
  const image = treeImage(layers, 'image', ['seed'], UNBOUNDED);
  t.ok(isOfTrees(layers));
  // The layer without data needs no source.
  t.same(
    image.sources.map((source) => source?.blob.key),
    [layers[0]?.blobs[0].key, layers[2]?.blobs[0].key],
  );
  t.same(image.notes, []);
  const lines = await linesOf(image);
  t.same(
    lines.map(({ path, type, size, nlink, mtime }) => [path, type, size, nlink, mtime]),
    [
      ['/', 'dir', undefined, 3, 0],
      ['/empty', 'reg', 0, 1, 0],
      ['/etc', 'dir', undefined, 2, 5],
      ['/etc/short', 'reg', 5, 1, 0],
      ['/etc/words', 'reg', 5000, 2, 7],
      ['/hard', 'reg', 5000, 2, 7],
      ['/link', 'symlink', 9, 1, 0],
    ],
  );
});

await test('one layer alone has its whiteouts', async (t) => {
  const layers = await layersOf(t, [
    { name: 'etc/.wh.gone' },
    { name: 'etc/.wh..wh..opq' },
    { name: 'etc/words', bytes: words },
  ]);
  const lines = await linesOf(treeImage(layers, 'image', ['seed'], UNBOUNDED, true));
  t.same(
    lines.map(({ path, type }) => [path, type]),
    [
      ['/', 'dir'],
      ['/etc', 'dir'],
      ['/etc/gone', 'char'],
      ['/etc/words', 'reg'],
    ],
  );
  t.match(lines[1], { xattrs: { 'trusted.overlay.opaque': /./ } });
});

await test('an archive without files is a layer', async (t) => {
  // Two blocks of zeros: "docker save" writes such layers.
  const layers = await layersOf(t, [{ name: 'a' }], [], [{ name: 'b' }]);
  t.equal(layers[1]?.blobs[0].size, 1024);
  const lines = await linesOf(treeImage(layers, 'image', ['seed'], UNBOUNDED));
  t.same(
    lines.map(({ path }) => path),
    ['/', '/a', '/b'],
  );
});

await test('an archive that ends with the contents of its last file', async (t) => {
  const whole = writeUstar([{ name: 'a', bytes: words }]);
  const cut = whole.subarray(0, 512 + words.length);
  const layers = await layersIn(t, cut, gzipSync(cut));
  // Their plain bytes are filled up to a whole sector.
  const { sources } = treeImage(layers, 'image', ['seed'], UNBOUNDED);
  t.match(sources, [
    { filledTo: whole.length - 1024 },
    { around: { table: { size: whole.length - 1024 } } },
  ]);
});

await test('xattrs that are left out are a note', async (t) => {
  const [layer] = await layersOf(t, [{ name: 'a' }]);
  const xattrs = new Map([['trusted.overlay.opaque', Buffer.from('y')]]);
  const tree = treeOf([
    { path: 'a', type: 'dir', xattrs },
    { path: 'b', type: 'dir', xattrs },
  ]);
  const changed = {
    ...(layer as OpenedLayer),
    content: { kind: 'tree', format: 'tar', tree, around: null, notes: [] } as const,
  };
  t.same(treeImage([changed], 'image', [], UNBOUNDED).notes, [
    'image: 2 extended attributes left out, such as "trusted.overlay.opaque": EROFS cannot store them, or overlayfs would act on them',
  ]);
});

await test('layers of files cannot be mixed with other layers', async (t) => {
  const [layer] = await layersOf(t, [{ name: 'a' }]);
  const raw = {
    ...(layer as OpenedLayer),
    content: { kind: 'raw', doubts: [], about: null } as const,
  };
  t.throws(() => treeImage([layer as OpenedLayer, raw], 'image', [], UNBOUNDED), {
    code: 'BAD_FORMAT',
    message: /layer0\.tar: it is not a layer of files, and other layers of the image are$/,
  });
});

await test('files beyond the end of the blob are refused', async (t) => {
  const [layer] = await layersOf(t, [{ name: 'a', bytes: words }]);
  const data = [{ fileOffset: 0, length: 100_000, source: 0, offset: 512 }];
  const tree = treeOf([{ path: 'a', type: 'reg', size: 100_000, data }]);
  const cut = {
    ...(layer as OpenedLayer),
    content: { kind: 'tree', format: 'tar', tree, around: null, notes: [] } as const,
  };
  t.throws(() => treeImage([cut], 'image', [], UNBOUNDED), {
    code: 'BAD_FORMAT',
    message: /layer0\.tar: expected at least 100512 bytes, got 6656$/,
  });
});

await test('the work is announced before it is done', async (t) => {
  const layers = await layersOf(t, [{ name: 'a' }, { name: 'b' }]);
  let units = 0;
  const effort = { ...UNBOUNDED, spend: (n: number) => void (units += n) };
  treeImage(layers, 'image', [], effort);
  t.equal(units, 64);
});
