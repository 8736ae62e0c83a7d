// The memory of the columns of trees is announced before it is taken, and what is announced is what they have.
import { test } from 'tap';
import { writeErofs } from '../../../daemon/erofs/write.js';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { LayerTreeBuilder, type EntryDraft } from '../../../daemon/tree/builder.js';
import type { LayerTree } from '../../../daemon/tree/layer-tree.js';
import { mergeLayers } from '../../../daemon/tree/merge.js';
import { ImageEffort } from '../../../daemon/opener/effort.js';

class Counting {
  now = 0;
  most = 0;
  readonly effort = {
    ...UNBOUNDED,
    keep: (bytes: number, blob: string): void => {
      if (blob !== 'layer') throw new Error(`of ${blob}`);
      this.now += bytes;
      this.most = Math.max(this.most, this.now);
    },
  };
}

function built(count: number, draft: (i: number) => EntryDraft, { effort }: Counting): LayerTree {
  const builder = new LayerTreeBuilder({ name: 'layer', hasWhiteouts: true, effort });
  for (let i = 0; i < count; i++) builder.add(draft(i));
  return builder.finish();
}

const COUNT = 150_000;

for (const [name, draft] of Object.entries<(i: number) => EntryDraft>({
  files: (i) => ({
    path: `folder/${i}`,
    type: 'reg',
    size: 9,
    data: [{ fileOffset: 0, length: 9, source: 0, offset: 1024 * i }],
  }),
  links: (i) => ({ path: `${i}`, type: 'symlink', target: `${i}`.padEnd(40, 'x') }),
  'long names': (i) => ({ path: `${i}`.padEnd(200, 'n'), type: 'dir' }),
})) {
  await test(`${name}: as many bytes are announced as there are`, (t) => {
    const counting = new Counting();
    const tree = built(COUNT, draft, counting);
    const { columnBytes } = tree;
    t.equal(counting.now, columnBytes);
    t.ok(counting.most >= columnBytes, 'while they grew it was more');
    // Little room is left in what is finished: less than 1 MiB in each of at most 18 columns.
    t.ok(columnBytes < 18 * (1 << 20) + COUNT * (51 + 25 + 8 + 200));
    const before = counting.now;
    const merged = mergeLayers([tree], counting.effort);
    const after = counting.now;
    t.ok(after - before >= COUNT * (11 + 4), 'the merged tree as well');
    counting.most = after;
    writeErofs(merged, { uuidSeed: [], effort: counting.effort });
    // Of each inode its order, its layout and its offset; and a row of each file.
    const fewest = COUNT * (20 + 17 + 8) + 25 * tree.ranges;
    t.ok(counting.most - after >= fewest, `${counting.most - after} bytes while it is written`);
    t.equal(counting.now, after, 'and given back');
    t.end();
  });
}

await test('a tree that is too large is refused before memory is taken for it, and its layer is named', (t) => {
  const effort = new ImageEffort(false);
  const taken = (1 << 30) - (8 << 20);
  effort.keep(taken, 'lower');
  const builder = new LayerTreeBuilder({ name: 'upper', hasWhiteouts: true, effort });
  let count = 0;
  t.throws(
    () => {
      for (; ; count++) builder.add({ path: `${count}`.padEnd(250, 'n'), type: 'reg' });
    },
    { code: 'LIMIT', message: /^upper: with this one, the tables and trees of the image have \d+/ },
  );
  t.ok(count > 5000 && count < 40_000, `${count} entries`);
  t.end();
});

await test('the table of paths of a layer is given back with its layer', (t) => {
  const counting = new Counting();
  const lower = built(1, () => ({ path: 'way', type: 'symlink', target: 'real' }), counting);
  const upper = built(
    COUNT,
    (i) => ({ path: i === 0 ? 'way/.wh.x' : `real/${i}`, type: 'reg' }),
    counting,
  );
  const before = counting.now;
  counting.most = before;
  mergeLayers([lower, upper], counting.effort);
  const left = counting.now - before;
  t.ok(counting.most - before >= 4 * 2 * COUNT, 'it was announced');
  t.ok(left < 2 * COUNT * 15, `${left} bytes are left`);
  t.end();
});
