// Merging layers: one test a rule.
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { test } from 'tap';
import { LayerTree } from '../../../daemon/tree/layer-tree.js';
import { checkLayers, layerAlone, mergeLayers } from '../../../daemon/tree/merge.js';
import { IMPLIED, ROOT, WHITEOUT_NODE, type MergedTree } from '../../../daemon/tree/merged-tree.js';
import { TreeUnderWay } from '../../../daemon/tree/under-way.js';
import { layerOf, linesOf, mergedLines, treeOf } from '../../support/trees.js';

function inodeAt(tree: MergedTree, path: string): number {
  let at: number | undefined = ROOT;
  for (const name of path.split('/')) at = tree.directoryOf(at ?? -1)?.get(name);
  if (at === undefined) throw new Error(`no ${path}`);
  return at;
}

await test('no layer is an empty root', (t) => {
  const tree = mergeLayers([]);
  t.same(linesOf(tree), []);
  t.equal(tree.typeOf(ROOT), 'dir');
  t.end();
});

await test('folders without an entry are directories of root', (t) => {
  const tree = mergeLayers([layerOf('a/b/c')]);
  t.same(linesOf(tree), ['a/', 'a/b/', 'a/b/c']);
  t.equal(tree.inodes.entries[inodeAt(tree, 'a')], IMPLIED);
  t.equal(tree.modeOf(inodeAt(tree, 'a')), 0o755);
  t.end();
});

await test('a directory gets the attributes of its entry, also if that comes later', (t) => {
  t.same(mergedLines(layerOf('a/b', 'a/ @7')), ['a/ @7', 'a/b']);
  t.end();
});

await test("a folder without an entry keeps a lower layer's attributes", (t) => {
  t.same(mergedLines(layerOf('a/ @7'), layerOf('a/b')), ['a/ @7', 'a/b']);
  t.end();
});

await test('the entry of the root gives it attributes', (t) => {
  const tree = mergeLayers([layerOf('./ @1'), layerOf('x', '/ @2')]);
  t.equal(tree.layerOf(ROOT).columns.uids[tree.inodes.entries[ROOT] as number], 2);
  t.end();
});

await test('the root cannot be anything but a directory', (t) => {
  const message = /entry "\.?": the root is not a directory/;
  t.throws(() => mergedLines(layerOf('..')), { code: 'BAD_FORMAT', message: /the root/ });
  t.throws(() => mergedLines(layerOf('x', '. = x')), { code: 'BAD_FORMAT', message });
  t.end();
});

await test('a whiteout hides what lower layers have, wherever it stands', (t) => {
  const lower = layerOf('a/x', 'a/y', 'd/e/f');
  t.same(mergedLines(lower, layerOf('a/.wh.x', '.wh.d')), ['a/', 'a/y']);
  t.same(mergedLines(lower, layerOf('a/x @7', 'a/.wh.x', '.wh.d')), ['a/', 'a/x @7', 'a/y']);
  t.same(mergedLines(lower, layerOf('d/new', '.wh.d', '.wh.a')), ['d/', 'd/new']);
  t.end();
});

await test('a whiteout hides nothing of its own layer', (t) => {
  t.same(mergedLines(layerOf('.wh.a', 'a')), ['a']);
  t.same(mergedLines(layerOf('d/', 'd/a', 'd/.wh..wh..opq')), ['d/', 'd/a']);
  t.end();
});

await test('an opaque directory hides what lower layers have in it', (t) => {
  const lower = layerOf('d/ @1', 'd/a', 'd/b/c', 'e');
  t.same(mergedLines(lower, layerOf('d/.wh..wh..opq', 'd/ @2', 'd/n')), ['d/ @2', 'd/n', 'e']);
  t.same(mergedLines(lower, layerOf('d/n', 'd/.wh..wh..opq')), ['d/ @1', 'd/n', 'e']);
  t.same(mergedLines(lower, layerOf('.wh..wh..opq', 'n')), ['n']);
  t.end();
});

await test('whiteouts where lower layers have no directory are ignored', (t) => {
  t.same(mergedLines(layerOf('a'), layerOf('a/.wh.b', 'x/.wh.y', 'a/.wh..wh..opq')), ['a']);
  t.same(mergedLines(layerOf('a/b'), layerOf('a', 'a/.wh.b')), ['a']);
  t.end();
});

await test('everything but a directory over a directory replaces what is there', (t) => {
  t.same(mergedLines(layerOf('a @1', 'd/x', 'e @1'), layerOf('a @2', 'd', 'e/')), [
    'a @2',
    'd',
    'e/',
  ]);
  t.same(mergedLines(layerOf('a -> b', 'b/x'), layerOf('a/')), ['a/', 'b/', 'b/x']);
  t.end();
});

await test('of two entries with one path the last one counts', (t) => {
  t.same(mergedLines(layerOf('a @1', 'a @2', 'd/x', 'd @3', 'd/ @4')), ['a @2', 'd/ @4']);
  t.end();
});

await test('an entry replaces the xattrs of a directory as a whole', (t) => {
  const xattrs = new Map([['user.a', Uint8Array.of(1)]]);
  const lower = treeOf([{ path: 'd', type: 'dir', xattrs }]);
  const tree = mergeLayers([lower, layerOf('d/')]);
  t.equal(tree.xattrsOf(inodeAt(tree, 'd')), null);
  t.end();
});

await test('a folder replaces a file of a lower layer, and not one of its own layer', (t) => {
  t.same(mergedLines(layerOf('a'), layerOf('a/b')), ['a/', 'a/b']);
  const message = /^layer: entry "a\/b": "a" is a file in this layer, so nothing can be below it$/;
  t.throws(() => mergedLines(layerOf('a', 'a/b')), { code: 'BAD_FORMAT', message });
  t.end();
});

await test('symlinks in folders are followed inside the root', (t) => {
  const lower = layerOf('usr/lib/', 'lib -> usr/lib', 'abs -> /usr', 'out -> ../../../usr');
  t.same(mergedLines(lower, layerOf('lib/x', 'abs/y', 'out/z')), [
    'abs -> /usr',
    'lib -> usr/lib',
    'out -> ../../../usr',
    'usr/',
    'usr/lib/',
    'usr/lib/x',
    'usr/y',
    'usr/z',
  ]);
  t.same(mergedLines(layerOf('b -> c/d', 'b/x')), ['b -> c/d', 'c/', 'c/d/', 'c/d/x']);
  t.same(mergedLines(layerOf('a/b/c/', 'a/s -> b/../b/./c', 'a/s/x')), [
    'a/',
    'a/b/',
    'a/b/c/',
    'a/b/c/x',
    'a/s -> b/../b/./c',
  ]);
  t.end();
});

await test('whiteouts follow symlinks of lower layers', (t) => {
  const lower = layerOf('usr/lib/x', 'usr/lib/y', 'lib -> usr/lib');
  t.same(mergedLines(lower, layerOf('lib/.wh.x')), [
    'lib -> usr/lib',
    'usr/',
    'usr/lib/',
    'usr/lib/y',
  ]);
  t.same(mergedLines(lower, layerOf('lib/.wh..wh..opq')), ['lib -> usr/lib', 'usr/', 'usr/lib/']);
  // The layer replaces the symlink, so the whiteout is in its own directory.
  const replaced = ['lib/', 'usr/', 'usr/lib/', 'usr/lib/x', 'usr/lib/y'];
  t.same(mergedLines(lower, layerOf('lib/', 'lib/.wh..wh..opq')), replaced);
  t.same(mergedLines(lower, layerOf('lib/.wh.x', 'lib/')), replaced);
  t.end();
});

await test('a symlink to a file is not a folder', (t) => {
  const message = /"s\/x": "f" is a file in this layer/;
  t.throws(() => mergedLines(layerOf('f', 's -> f'), layerOf('s/x')), { message });
  t.end();
});

await test('hard links share the inode, also across layers', (t) => {
  const tree = mergeLayers([layerOf('a @1', 'b = a'), layerOf('d/c = /a')]);
  t.same(linesOf(tree), ['a @1', 'b = a', 'd/', 'd/c = a']);
  t.equal(tree.inodes.nlinks[inodeAt(tree, 'b')], 3);
  t.end();
});

await test('a hard link to a symlink is the symlink, and its folders may be symlinks', (t) => {
  t.same(mergedLines(layerOf('d/s -> x', 'e -> d', 'h = e/s')), [
    'd/',
    'd/s -> x',
    'e -> d',
    'h = d/s',
  ]);
  t.end();
});

await test('the other names of a file stay when one is replaced', (t) => {
  const lower = layerOf('a @1', 'b = a', 'c = a');
  const tree = mergeLayers([lower, layerOf('a @2', '.wh.b')]);
  t.same(linesOf(tree), ['a @2', 'c @1']);
  t.equal(tree.inodes.nlinks[inodeAt(tree, 'c')], 1);
  t.end();
});

await test('a hard link takes the attributes of its target', (t) => {
  t.same(mergedLines(layerOf('a @1', 'b = a @2')), ['a @1', 'b = a']);
  t.end();
});

await test('a hard link to itself changes nothing', (t) => {
  t.same(mergedLines(layerOf('a @1', 'a = a', 'b = a', 'b = a')), ['a @1', 'b = a']);
  t.end();
});

await test('hard links without a target, in a ring and to directories are refused', (t) => {
  const missing = { code: 'BAD_FORMAT', message: /^layer: entry "a": a hard link to "b", which/ };
  t.throws(() => mergedLines(layerOf('a = b')), missing);
  t.throws(() => mergedLines(layerOf('x'), layerOf('a = b', 'b = a')), missing);
  t.throws(() => mergedLines(layerOf('b'), layerOf('.wh.b', 'a = b')), missing);
  const directory = { code: 'BAD_FORMAT', message: /which is a directory/ };
  t.throws(() => mergedLines(layerOf('b/', 'a = b')), directory);
  t.throws(() => mergedLines(layerOf('a = /')), directory);
  t.end();
});

await test('a hard link has the file that a whiteout after it hides, as when layers are unpacked', (t) => {
  const lower = layerOf('d/b @1', 'd/s -> b', 'e -> d', 'b @2');
  t.same(mergedLines(lower, layerOf('a = b', '.wh.b', '.wh.d', '.wh.e')), ['a @2']);
  // Through a folder that is hidden, through a symlink, to a symlink.
  for (const [target, line] of [
    ['d/b', 'a @1'],
    ['e/b', 'a @1'],
    ['d/s', 'a -> b'],
  ]) {
    const upper = layerOf(`a = ${target}`, '.wh.b', '.wh.d', '.wh.e');
    t.same(mergedLines(lower, upper), [line]);
  }
  t.same(mergedLines(layerOf('d/b @1'), layerOf('a = d/b', 'd/.wh..wh..opq')), ['a @1', 'd/']);
  const both = layerOf('a = d/b', 'd/.wh.b', 'd/new', '.wh.d');
  t.same(mergedLines(layerOf('d/b @1'), both), ['a @1', 'd/', 'd/new']);
  const tree = mergeLayers([lower, layerOf('a = b', 'c = b', '.wh.b')]);
  t.equal(tree.inodes.nlinks[inodeAt(tree, 'a')], 2);
  t.end();
});

await test('after the whiteout, the target of a hard link is not there', (t) => {
  const message = /hard link to "(d\/)?b", which neither it nor a lower layer has/;
  const lower = layerOf('b', 'd/b');
  for (const upper of [
    ['.wh.b', 'a = b'],
    ['d/.wh..wh..opq', 'a = d/b', '.wh.d', 'c = b'],
    ['d/.wh.b', 'a = d/b', '.wh.d'],
  ]) {
    t.throws(() => mergedLines(lower, layerOf(...upper)), { code: 'BAD_FORMAT', message });
  }
  t.end();
});

await test('links are counted', (t) => {
  const tree = mergeLayers([layerOf('a/b/', 'a/c/d', 'x = a/c/d'), layerOf('.wh.x')]);
  t.equal(tree.inodes.nlinks[ROOT], 3);
  t.equal(tree.inodes.nlinks[inodeAt(tree, 'a')], 4);
  t.equal(tree.inodes.nlinks[inodeAt(tree, 'a/b')], 2);
  t.equal(tree.inodes.nlinks[inodeAt(tree, 'a/c/d')], 1);
  t.end();
});

await test('ways that were found are forgotten when a folder is replaced', (t) => {
  const lower = layerOf('a/b/x', 'c/');
  t.same(mergedLines(lower, layerOf('a/b/y', 'a/b', 'a/z')), ['a/', 'a/b', 'a/z', 'c/']);
  t.same(mergedLines(lower, layerOf('a/b/y', 'a -> c', 'a/z')), ['a -> c', 'c/', 'c/z']);
  t.same(mergedLines(lower, layerOf('a/b/y', 'a/b -> ../c', 'a/b/z')), [
    'a/',
    'a/b -> ../c',
    'c/',
    'c/z',
  ]);
  t.end();
});

const fileIn = (source: number): LayerTree => {
  const data = [{ fileOffset: 0, length: 512, source, offset: 0 }];
  return treeOf([{ path: 'a', type: 'reg', size: 512, data }]);
};

await test('content sources of all layers are numbered, at most 255', (t) => {
  t.same(mergeLayers([fileIn(1), layerOf('b'), fileIn(0)]).sourceBases, [0, 2, 2, 3]);
  t.throws(() => mergeLayers([fileIn(200), fileIn(54)]), { code: 'LIMIT', message: /256 content/ });
  t.equal(mergeLayers([fileIn(200), fileIn(53)]).sourceBases.at(-1), 255);
  t.end();
});

await test('directories have a greatest depth, also through symlinks', (t) => {
  const deep = 'a/'.repeat(2048);
  t.equal(mergedLines(layerOf(deep)).length, 2048);
  t.throws(() => mergedLines(layerOf(deep, `s -> ${'a/'.repeat(1500)}`, `s/${'b/'.repeat(600)}`)), {
    code: 'LIMIT',
    message: /deeper than 2048/,
  });
  t.end();
});

await test('a layer alone shows whiteouts as overlayfs has them', (t) => {
  const tree = layerAlone(layerOf('d/.wh.x', 'e/.wh..wh..opq', '.wh.a', 'a @7', 'f', 'f/.wh.g'));
  t.same(linesOf(tree), ['a @7', 'd/', 'd/x (char)', 'e/', 'f']);
  t.equal(tree.inodes.entries[inodeAt(tree, 'd/x')], WHITEOUT_NODE);
  t.equal(tree.modeOf(inodeAt(tree, 'd/x')), 0);
  t.equal(tree.xattrsOf(inodeAt(tree, 'd')), null);
  t.same(tree.xattrsOf(inodeAt(tree, 'e'))?.names, ['\0opaque']);
  t.throws(() => layerAlone(layerOf('a = lower')), { code: 'BAD_FORMAT' });
  t.end();
});

await test('a layer alone: a whiteout of the name of its own directory makes that opaque', (t) => {
  for (const upper of [
    ['.wh.d', 'd/', 'd/new'],
    ['d/new', '.wh.d'],
    ['d/new', 'd/.wh.old', '.wh.d'],
  ]) {
    t.same(mergedLines(layerOf('d/old'), layerOf(...upper)), ['d/', 'd/new']);
    const tree = layerAlone(layerOf(...upper));
    t.same(tree.xattrsOf(inodeAt(tree, 'd'))?.names, ['\0opaque'], upper.join(' '));
  }
  const tree = layerAlone(layerOf('.wh.a', 'a @7', '.wh.s', 's -> d', 'd/'));
  t.same(linesOf(tree), ['a @7', 'd/', 's -> d']);
  t.equal(tree.xattrsOf(inodeAt(tree, 'd')), null);
  t.end();
});

await test('a layer alone: a whiteout hides the directory that other whiteouts would be in', (t) => {
  for (const upper of [
    ['d/.wh.a', '.wh.d'],
    ['.wh.d', 'd/.wh.a'],
    ['d/e/.wh..wh..opq', '.wh.d'],
    ['.wh.d', '.wh.d'],
  ]) {
    t.same(mergedLines(layerOf('d/a', 'x'), layerOf(...upper)), ['x']);
    t.same(linesOf(layerAlone(layerOf(...upper))), ['d (char)'], upper.join(' '));
  }
  t.end();
});

await test('entries and names of all layers have limits', (t) => {
  const layer = layerOf('abc', 'd');
  const big = new LayerTree('big', { ...layer.columns, count: 2_000_000 }, 0);
  checkLayers([big, big], 'image');
  t.throws(() => checkLayers([layer, big, big], 'image'), {
    code: 'LIMIT',
    message: /^image: 4000002 files with names of 12 bytes in its lowest 3 layers, at most/,
  });
  const long = new LayerTree('long', { ...layer.columns, bytes: 2 ** 28 }, 0);
  checkLayers([long, long], 'image');
  t.throws(() => checkLayers([long, long, layer], 'image'), { code: 'LIMIT' });
  const rangeStarts = Uint32Array.of(0, 0, 8_000_000);
  const sparse = new LayerTree('sparse', { ...layer.columns, rangeStarts }, 0);
  checkLayers([sparse, sparse, layer], 'image');
  t.throws(() => checkLayers([sparse, sparse, sparse], 'image'), {
    code: 'LIMIT',
    message: 'image: 24000000 ranges of data in its lowest 3 layers, at most 16000000',
  });
  t.end();
});

await test('what all layers have on the heap has a limit, which the merge shares', (t) => {
  const layer = treeOf([
    { path: 'a', type: 'char', xattrs: new Map([['user.x', Buffer.from('x')]]) },
  ]);
  const [set] = layer.columns.xattrSets;
  const xattrSets = Array.from({ length: 300_000 }, () => set as NonNullable<typeof set>);
  const big = new LayerTree('big', { ...layer.columns, xattrSets }, 0);
  checkLayers([big, layer], 'image');
  t.throws(() => checkLayers([big, big], 'image'), {
    code: 'LIMIT',
    message: /^image: devices and different sets .* in its lowest 2 layers take \d+ bytes/,
  });
  t.throws(() => new TreeUnderWay([layer], UNBOUNDED, layer.heapBytes), { code: 'LIMIT' });
  t.doesNotThrow(() => new TreeUnderWay([layer], UNBOUNDED, layer.heapBytes + 320));
  t.end();
});

await test('names that take too much of the heap are refused before they do', (t) => {
  const layer = treeOf([{ path: 'dir', type: 'dir' }]);
  const tree = new TreeUnderWay([layer], UNBOUNDED, 2000);
  const add = (): void => {
    for (let i = 0; i < 100; i++) tree.put(ROOT, `file ${i}`, tree.newInode(0, IMPLIED, ROOT));
  };
  t.throws(add, {
    code: 'LIMIT',
    message: /^layer: its directories and names take more than 2000 bytes of memory: \d files/,
  });
  t.end();
});
