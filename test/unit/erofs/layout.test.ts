// Where everything is: inodes and blocks, inline or not.
import { test } from 'tap';
import { layOut, type Layout } from '../../../daemon/erofs/layout.js';
import { orderInodes } from '../../../daemon/erofs/order.js';
import type { EntryDraft } from '../../../daemon/tree/builder.js';
import { mergeLayers } from '../../../daemon/tree/merge.js';
import { treeOf } from '../../support/trees.js';

const NO_BLOCK = 0xffffffff;

function layoutOf(...drafts: EntryDraft[]): Layout {
  const tree = mergeLayers([treeOf(drafts)]);
  return layOut(tree, orderInodes(tree));
}

const symlink = (path: string, length: number): EntryDraft => {
  return { path, type: 'symlink', target: 'x'.repeat(length) };
};

/** An entry with xattrs of this many bytes, their header included: a multiple of 4. */
const padding = (path: string, bytes: number): EntryDraft => {
  const xattrs = new Map([[`user.${path}`, new Uint8Array(bytes - 12 - 4 - path.length)]]);
  return { path, type: 'fifo', xattrs };
};

/** Entry "a" that leaves this many bytes of the first block: the root takes 128 if it has another name "b". */
const leaving = (left: number): EntryDraft => padding('a', 4096 - 128 - 64 - left);

await test('the root is at byte 4096, with its names after it', (t) => {
  const layout = layoutOf();
  t.equal(layout.nids[0], 128);
  t.equal(layout.inline[0], 1);
  t.equal(layout.blocks[0], NO_BLOCK);
  t.equal(layout.sizes[0], 27);
  t.equal(layout.metadataBlocks, 2);
  t.end();
});

await test('inodes follow each other, in units of 32 bytes', (t) => {
  const layout = layoutOf(symlink('a', 1), symlink('b', 33), { path: 'c', type: 'fifo' });
  // The root has 64 bytes and 27 + 3 * 13 for its names.
  t.same([...layout.nids], [128, 128 + 5, 128 + 5 + 3, 128 + 5 + 3 + 4]);
  t.end();
});

await test('an inode does not cross a block', (t) => {
  const fifo = { path: 'b', type: 'fifo' } as const;
  t.equal((layoutOf(leaving(64), fifo).nids[2] as number) * 32, 8192 - 64);
  t.equal((layoutOf(leaving(32), fifo).nids[2] as number) * 32, 8192);
  t.end();
});

await test('xattrs may cross a block', (t) => {
  const layout = layoutOf(padding('a', 5000), { path: 'b', type: 'fifo' });
  t.equal((layout.nids[2] as number) * 32, Math.ceil((4096 + 128 + 64 + 5000) / 32) * 32);
  t.end();
});

await test('a target is after its inode if both fit one block', (t) => {
  const fits = layoutOf(leaving(0), symlink('b', 4096 - 64));
  t.same([fits.nids[2], fits.inline[2], fits.blocks[2]], [8192 / 32, 1, NO_BLOCK]);
  const exceeds = layoutOf(leaving(0), symlink('b', 4096 - 63));
  t.same([exceeds.nids[2], exceeds.inline[2], exceeds.blocks[2]], [8192 / 32, 0, 3]);
  t.equal(exceeds.metadataBlocks, 4);
  t.end();
});

await test('an inode moves to the next block only if a block for its tail would waste more', (t) => {
  const moves = layoutOf(leaving(2048), symlink('b', 2048));
  t.same([moves.nids[2], moves.inline[2]], [8192 / 32, 1]);
  const stays = layoutOf(leaving(2048), symlink('b', 2049));
  t.same([stays.nids[2], stays.inline[2]], [(8192 - 2048) / 32, 0]);
  t.end();
});

await test('a large directory has its full blocks after all inodes, and its last one inline', (t) => {
  const names = Array.from({ length: 700 }, (_, i): EntryDraft => {
    return { path: `n${1000 + i}`, type: 'fifo' };
  });
  const layout = layoutOf(...names);
  const size = layout.sizes[0] as number;
  t.ok(size > 8192 && size < 12_288);
  t.equal(layout.inline[0], 1);
  const first = layout.blocks[0] as number;
  t.equal(first, Math.ceil(layout.sharedXattrs / 4096));
  t.equal(layout.metadataBlocks, first + Math.floor(size / 4096));
  t.end();
});

await test('files have no blocks of metadata', (t) => {
  const layout = layoutOf({ path: 'a', type: 'reg', size: 100_000 });
  t.equal(layout.sizes[1], 100_000);
  t.equal(layout.blocks[1], NO_BLOCK);
  t.equal(layout.metadataBlocks, 2);
  t.end();
});

await test('too much metadata is refused before memory is taken for it', (t) => {
  const limit = (...drafts: EntryDraft[]) => {
    const tree = mergeLayers([treeOf(drafts)]);
    const order = orderInodes(tree);
    const { metadataBlocks } = layOut(tree, order);
    t.equal(layOut(tree, order, undefined, metadataBlocks * 4096).metadataBlocks, metadataBlocks);
    const message = /^layer: its tree takes more than \d+ bytes of metadata$/;
    t.throws(() => layOut(tree, order, undefined, metadataBlocks * 4096 - 1), {
      code: 'LIMIT',
      message,
    });
    return (most: number) => layOut(tree, order, undefined, most);
  };
  limit(padding('a', 60_000));
  const blocks = limit(symlink('a', 4095), symlink('b', 4095));
  t.throws(() => blocks(8192), { code: 'LIMIT' });
  t.end();
});

await test('metadata has a limit of 1 GiB', (t) => {
  t.ok(largeLayout(4000).metadataBlocks * 4096 > 0.85 * 2 ** 30);
  t.throws(() => largeLayout(4600), { code: 'LIMIT', message: /more than 1073741824 bytes/ });
  t.end();
});

/** Of as many inodes with {@link largeXattrs}. */
function largeLayout(inodes: number): Layout {
  const first: EntryDraft = { path: '0', type: 'fifo', xattrs: largeXattrs() };
  const others = Array.from({ length: inodes - 1 }, (_, i): EntryDraft => {
    return { path: `${i + 1}`, type: 'fifo' };
  });
  const tree = treeOf([first, ...others]);
  // All have the set of the first.
  tree.columns.xattrs.fill(1);
  const merged = mergeLayers([tree]);
  return layOut(merged, orderInodes(merged));
}

/** 240,000 bytes that cannot be shared, because 255 others come before them. */
function largeXattrs(): Map<string, Uint8Array> {
  const xattrs = new Map<string, Uint8Array>();
  for (let i = 0; i < 255; i++) xattrs.set(`user.a${i}`, new Uint8Array(1));
  for (let i = 0; i < 4; i++) xattrs.set(`user.z${i}`, new Uint8Array(60_000));
  return xattrs;
}
