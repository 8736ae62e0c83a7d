// The order of inodes, which is a part of layout version 1.
import { test } from 'tap';
import { orderInodes } from '../../../daemon/erofs/order.js';
import { mergeLayers } from '../../../daemon/tree/merge.js';
import type { MergedTree } from '../../../daemon/tree/merged-tree.js';
import { layerOf } from '../../support/trees.js';

/** The first name of each inode, in the order of inodes. */
function namesInOrder(tree: MergedTree): string[] {
  const { inodes, names } = orderInodes(tree);
  const found = new Map<number, string>([[0, '/']]);
  for (const inode of inodes) {
    for (const name of names[inode] ?? []) {
      const child = tree.directoryOf(inode)?.get(name);
      if (child !== undefined && !found.has(child)) found.set(child, name);
    }
  }
  return [...inodes].map((inode) => found.get(inode) ?? '?');
}

await test('breadth first; in a directory files come before directories, by name', (t) => {
  const layer = layerOf('b/z', 'b/y/deep', 'a/x', 'c', '-', 'A');
  t.same(namesInOrder(mergeLayers([layer])), ['/', '-', 'A', 'c', 'a', 'b', 'x', 'z', 'y', 'deep']);
  t.end();
});

await test('the order of entries in the layer does not matter', (t) => {
  const lines = ['b/z', 'b/y/deep', 'a/x', 'c', '-', 'A'];
  const one = namesInOrder(mergeLayers([layerOf(...lines)]));
  t.same(namesInOrder(mergeLayers([layerOf(...lines.toReversed())])), one);
  t.end();
});

await test('an inode with several names has the place of its first one', (t) => {
  const layer = layerOf('b/f', 'a/g = b/f', 'h', 'c/i = h');
  t.same(namesInOrder(mergeLayers([layer])), ['/', 'h', 'a', 'b', 'c', 'g']);
  t.end();
});

await test('what has no name has no place', (t) => {
  const tree = mergeLayers([layerOf('a/b', 'c'), layerOf('.wh.a')]);
  const { inodes, places } = orderInodes(tree);
  t.equal(inodes.length, 2);
  t.equal([...places].filter((place) => place > 0).length, 2);
  t.end();
});

await test('"." and ".." are sorted among the names', (t) => {
  const tree = mergeLayers([layerOf('-x', '...', '0')]);
  t.same(orderInodes(tree).names[0], ['-x', '.', '..', '...', '0']);
  t.end();
});
