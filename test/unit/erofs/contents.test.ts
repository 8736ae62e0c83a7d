// Where the device has the contents of files.
import { test } from 'tap';
import { placeContents, type DeviceRows, type IsZeros } from '../../../daemon/erofs/contents.js';
import { layOut } from '../../../daemon/erofs/layout.js';
import { orderInodes } from '../../../daemon/erofs/order.js';
import type { EntryDraft } from '../../../daemon/tree/builder.js';
import type { DataRange, LayerTree } from '../../../daemon/tree/layer-tree.js';
import { mergeLayers } from '../../../daemon/tree/merge.js';
import { treeOf } from '../../support/trees.js';

const range = (fileOffset: number, length: number, offset: number, source = 0): DataRange => ({
  fileOffset,
  length,
  source,
  offset,
});

const file = (path: string, size: number, ...data: DataRange[]): EntryDraft => {
  return { path, type: 'reg', size, data };
};

interface Placed {
  rows: number[][];
  blocks: number;
  first: number;
}

function placed(...layers: LayerTree[]): Placed {
  return placedWith(() => false, ...layers);
}

function placedWith(isZeros: IsZeros, ...layers: LayerTree[]): Placed {
  const tree = mergeLayers(layers);
  const order = orderInodes(tree);
  const layout = layOut(tree, order);
  const { rows, blocks } = placeContents(tree, order, layout, isZeros);
  const first = layout.metadataBlocks;
  return { rows: rowsOf(rows, first), blocks, first };
}

/** [sector from the start of contents on, sectors, source, moffset], without the metadata. */
function rowsOf(
  { count, sectors, lengths, sources, moffsets }: DeviceRows,
  first: number,
): number[][] {
  const rows: number[][] = [];
  for (let i = 0; i < count; i++) {
    const columns = [sectors, lengths, sources, moffsets];
    rows.push(columns.map((column) => column[i] as number));
  }
  const [metadata, ...rest] = rows;
  if (String(metadata) !== String([0, 8 * first, 0, 0]))
    throw new Error(`metadata: ${String(metadata)}`);
  return rest.map(([sector = 0, ...others]) => [sector - 8 * first, ...others]);
}

await test('files have blocks in the order of their bytes in the source', (t) => {
  const { rows, blocks, first } = placed(
    treeOf([
      file('a', 4097, range(0, 4097, 10_240)),
      file('b', 1, range(0, 1, 512)),
      file('c', 0),
      file('d', 4096, range(0, 4096, 1536)),
    ]),
  );
  t.same(rows, [
    [0, 1, 1, 1],
    [8, 8, 1, 3],
    [16, 9, 1, 20],
  ]);
  t.equal(blocks - first, 4);
  t.end();
});

await test('layers follow each other, bottom first, and have sources of their own', (t) => {
  const { rows } = placed(
    treeOf([file('z', 512, range(0, 512, 1024, 1)), file('y', 512, range(0, 512, 2048, 0))]),
    treeOf([file('a', 512, range(0, 512, 0))]),
  );
  t.same(rows, [
    [0, 1, 1, 4],
    [8, 1, 2, 2],
    [16, 1, 3, 0],
  ]);
  t.end();
});

await test('holes have blocks and no rows; files that are one hole come last', (t) => {
  const { rows, blocks, first } = placed(
    treeOf([
      file('hole', 10_000),
      file('sparse', 20_000, range(4096, 512, 512), range(12_288, 7712, 1024)),
    ]),
  );
  t.same(rows, [
    [8, 1, 1, 1],
    [24, 16, 1, 2],
  ]);
  t.equal(blocks - first, 5 + 3);
  t.end();
});

await test('files with zeros between them, in a source that has them at blocks, are one row', (t) => {
  const asked: number[][] = [];
  const isZeros: IsZeros = (...where) => {
    asked.push(where);
    return where[1] !== 8192 + 512;
  };
  const { rows } = placedWith(
    isZeros,
    treeOf([
      file('a', 5000, range(0, 5000, 0)),
      file('b', 100, range(0, 100, 8192)),
      // What follows b is not zeros.
      file('c', 4096, range(0, 4096, 12_288)),
      file('d', 1, range(0, 1, 16_384)),
      // It is further away in the source than in the device.
      file('e', 1, range(0, 1, 24_576)),
      // A hole of a block, and another source.
      file('f', 9000, range(0, 512, 28_672), range(8192, 808, 36_864)),
      file('g', 1, range(0, 1, 40_960, 1)),
    ]),
    treeOf([file('h', 1, range(0, 1, 45_056))]),
  );
  t.same(rows, [
    [0, 17, 1, 0],
    [24, 9, 1, 24],
    [40, 9, 1, 48],
    [64, 2, 1, 72],
    [72, 1, 2, 80],
    [80, 1, 3, 88],
  ]);
  t.same(asked.slice(0, 2), [
    [0, 5120, 8192],
    [0, 8704, 12_288],
  ]);
  t.end();
});

await test('files that no name leads to have no blocks', (t) => {
  const lower = treeOf([file('a', 512, range(0, 512, 512))]);
  const { rows, blocks, first } = placed(lower, treeOf([{ path: '.wh.a', type: 'reg' }]));
  t.same(rows, []);
  t.equal(blocks, first);
  t.end();
});

await test('a hard link has the blocks of its file', (t) => {
  const { rows } = placed(
    treeOf([file('a', 512, range(0, 512, 512)), { path: 'b', type: 'hardlink', target: 'a' }]),
  );
  t.equal(rows.length, 1);
  t.end();
});

await test('more blocks than EROFS can count are refused', (t) => {
  const most = 2 ** 44;
  t.throws(() => placed(treeOf([file('a', most)])), {
    code: 'LIMIT',
    message: /^layer: its files take more than 4294967295 blocks of 4096 bytes$/,
  });
  t.equal(placed(treeOf([file('a', most - 3 * 4096)])).blocks, 2 ** 32 - 1);
  t.end();
});
