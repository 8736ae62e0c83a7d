// What whiteouts have removed, as an entry before them sees it.
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { test } from 'tap';
import { HiddenNames } from '../../../daemon/tree/hidden-names.js';
import { IMPLIED, ROOT } from '../../../daemon/tree/merged-tree.js';
import { TreeUnderWay } from '../../../daemon/tree/under-way.js';
import { layerOf, treeOf } from '../../support/trees.js';

await test('a name is what it was, for the entries before the one that removes it', (t) => {
  const tree = new TreeUnderWay([layerOf('x')]);
  const [a, b] = [tree.newInode(0, IMPLIED, ROOT), tree.newInode(0, 0, ROOT)];
  tree.put(ROOT, 'a', a);
  tree.put(a, 'b', b);
  const hidden = new HiddenNames(tree, 0);
  hidden.hide(ROOT, 'none', 1);
  t.ok(hidden.isEmpty);
  hidden.hideAll(a, 3);
  hidden.hide(ROOT, 'a', 5);
  t.notOk(hidden.isEmpty);
  t.equal(tree.lookup(ROOT, 'a'), undefined);
  t.equal(hidden.lookupBefore(4, ROOT, 'a'), a);
  t.equal(hidden.lookupBefore(6, ROOT, 'a'), undefined);
  t.equal(hidden.lookupBefore(2, a, 'b'), b);
  t.equal(hidden.lookupBefore(4, a, 'b'), undefined);
  const other = tree.newInode(0, 0, ROOT);
  tree.put(ROOT, 'a', other);
  t.equal(hidden.lookupBefore(6, ROOT, 'a'), other);
  t.equal(hidden.lookupBefore(4, ROOT, 'a'), a);
  t.end();
});

await test('where entries are in the archive counts, and not their order in the tree', (t) => {
  const layer = treeOf([
    { path: 'b', type: 'whiteout', position: 900 },
    { path: 'c', type: 'whiteout', position: 300 },
    { path: 'a', type: 'hardlink', target: 'b', position: 600 },
  ]);
  const tree = new TreeUnderWay([layer]);
  const [b, c] = [tree.newInode(0, 0, ROOT), tree.newInode(0, 0, ROOT)];
  tree.put(ROOT, 'b', b);
  tree.put(ROOT, 'c', c);
  const hidden = new HiddenNames(tree, 0);
  hidden.hide(ROOT, 'b', 0);
  hidden.hide(ROOT, 'c', 1);
  t.equal(hidden.lookupBefore(2, ROOT, 'b'), b);
  t.equal(hidden.lookupBefore(2, ROOT, 'c'), undefined);
  t.end();
});

await test('hidden names count as names do, until the layer is merged', (t) => {
  const most = 9500;
  const tree = new TreeUnderWay([layerOf('x')], UNBOUNDED, most);
  const fill = (): void => {
    for (let i = 0; i < 40; i++) tree.put(ROOT, `${i}`, tree.newInode(0, 0, ROOT));
  };
  fill();
  const hidden = new HiddenNames(tree, 0);
  hidden.hideAll(ROOT, 1);
  t.throws(fill, {
    code: 'LIMIT',
    message: /^layer: its directories and names take more than 9500/,
  });
  hidden.forget();
  t.ok(hidden.isEmpty);
  fill();
  t.throws(() => new HiddenNames(tree, 0).hideAll(ROOT, 1), { code: 'LIMIT' });
  t.end();
});
