// What the layers of hostile images have on the heap is counted, and refused before the heap is full.
import { test } from 'tap';
import { ObjectTableBuilder } from '../../../daemon/composefs/object-table.js';
import { readToc } from '../../../daemon/estargz/toc.js';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { HeapBudget } from '../../../daemon/lib/heap-budget.js';
import { LayerTreeBuilder, type EntryDraft } from '../../../daemon/tree/builder.js';

const MOST = 100_000;
const COUNT = 1000;

/** Adds entries until one is refused. @returns how many there are then */
function added(draft: (i: number) => EntryDraft, count = COUNT): number {
  const effort = { ...UNBOUNDED, heap: new HeapBudget(MOST) };
  const options = { name: 'layer', hasWhiteouts: true, effort };
  const builder = new LayerTreeBuilder(options);
  try {
    for (let i = 0; i < count; i++) builder.add(draft(i));
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    const expected =
      'layer: hard links, devices and different sets of extended attributes of all layers take more than 100000 bytes of memory';
    if (code !== 'LIMIT' || message !== expected) throw error;
  }
  return builder.count;
}

function tocOf(count: number): Promise<unknown> {
  const links = Array.from({ length: count }, (_, i) => ({
    name: `${i}`,
    type: 'hardlink',
    linkName: 'f',
  }));
  const entries = [{ name: 'f', type: 'reg' }, ...links];
  return readToc(Buffer.from(JSON.stringify({ version: 1, entries })), {
    blob: 'layer',
    codec: 'gzip',
    end: 1000,
    needsDigests: true,
    effort: { ...UNBOUNDED, heap: new HeapBudget(MOST) },
  });
}

await test('entries that keep nothing there are not counted', (t) => {
  t.equal(
    added((i) => ({ path: `${i}`, type: 'reg', xattrs: new Map([['user.x', Buffer.from('x')]]) })),
    COUNT,
  );
  t.equal(
    added((i) => ({ path: `${i}`, type: 'symlink', target: 'x'.repeat(1000) })),
    COUNT,
  );
  t.end();
});

await test('different sets of extended attributes, and devices, are', (t) => {
  const sets = added((i) => ({
    path: `${i}`,
    type: 'reg',
    xattrs: new Map([['user.x', Buffer.from(`${i}`.padEnd(100, 'x'))]]),
  }));
  t.ok(sets > 100 && sets < 200, `${sets} sets`);
  const rdev = { major: 1, minor: 2 };
  const devices = added((i) => ({ path: `${i}`, type: 'char', rdev }), 10 * COUNT);
  t.ok(devices > 1000 && devices < 2500, `${devices} devices`);
  t.end();
});

await test('hard links of a table of contents', async (t) => {
  await tocOf(300);
  await t.rejects(tocOf(COUNT), { code: 'LIMIT', message: /^layer: hard links, .* 100000 bytes/ });
});

await test('objects of a composefs image with names of their own, each once', (t) => {
  let bytes = 0;
  const table = new ObjectTableBuilder('image', (more) => (bytes += more));
  const place = { folder: 0, nameAt: 0, nameLength: 1 };
  const add = (name: string): void => void table.addObject({ name, size: 5, digest: null }, place);
  add('a'.repeat(1000));
  const first = bytes;
  t.ok(first > 2000, 'the name and the key that has it');
  add('a'.repeat(1000));
  t.equal(bytes, first);
  add('b');
  t.ok(bytes > first);
  const all = bytes;
  table.addUsualObject(Buffer.alloc(32, 1), 0, 5, place);
  t.equal(bytes, all, 'one whose name follows from its digest is in columns alone');
  t.equal(table.objects, 3);
  t.end();
});
