// The table of open images: which are shared, which are published to reactors, and when they are closed.
import { readFileSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { test, type Test } from 'tap';
import type { Logger } from '../../../daemon/log/logger.js';
import type { ExportSpec } from '../../../daemon/image/disks/export-spec.js';
import { sourceOfWords, type ImageSource } from '../../../daemon/image/plan/image-source.js';
import { ImageTable, type ExportSources } from '../../../daemon/image/table.js';
import { writeZeroedLayer } from '../../support/lsmt-layout.js';
import { randomBytes } from '../../support/pattern.js';
import { openTargets } from '../../support/descriptors.js';

interface World {
  table: ImageTable;
  published: (readonly ExportSpec[])[];
  log: string[];
  logger: Logger;
  /** Paths of raw images; all images differ. */
  image: (n: number) => string;
  /** How many descriptors of this process are files of the test. */
  open: () => number;
}

function start(t: Test): World {
  const folder = t.testdir();
  const image = (n: number): string => join(folder, `image${n}`);
  for (let n = 0; n < 4; n++) writeFileSync(image(n), randomBytes(n + 1, 20_000));
  const published: (readonly ExportSpec[])[] = [];
  const log: string[] = [];
  const logger = { log: (level: string, message: string) => void log.push(`${level}: ${message}`) };
  const table = new ImageTable(logger, (specs) => published.push(specs));
  t.teardown(() => table.close());
  const open = (): number => openTargets(folder).length;
  return { table, published, log, logger, image, open };
}

/** Other threads close files, some time later. */
async function settled(count: () => number, expected: number): Promise<number> {
  for (let tries = 0; count() !== expected && tries < 500; tries++) await pause(10);
  return count();
}

const sourceOf = (path: string): ImageSource => sourceOfWords([path]);
const exportsOf = (exports: Record<string, string>): ExportSources =>
  new Map(Object.entries(exports).map(([name, path]) => [name, sourceOf(path)]));
const namesOf = (specs: readonly ExportSpec[] | undefined): string[] =>
  (specs ?? []).map(({ name, hidden }) => (hidden ? `(${name})` : name));

await test('the same files are opened once, and closed with the last holder', async (t) => {
  const { table, image, open } = start(t);
  const one = await table.open(sourceOf(image(0)));
  const same = await table.open(sourceOf(image(0)));
  t.equal(same.key, one.key);
  t.equal(same.image, one.image);
  const other = await table.open(sourceOf(image(1)));
  t.not(other.key, one.key);
  t.not(other.fingerprint, one.fingerprint);
  t.equal(await settled(open, 2), 2);
  table.release(one);
  t.equal(await settled(open, 2), 2, 'another holder is left');
  table.release(same);
  t.equal(await settled(open, 1), 1);
  const again = await table.open(sourceOf(image(0)));
  t.not(again.key, one.key, 'keys are not reused');
  t.equal(again.fingerprint, one.fingerprint);
  table.release(again);
  table.release(other);
  t.equal(await settled(open, 0), 0);
});

await test('callers that open the same image at the same time wait for the first', async (t) => {
  const folder = t.testdir();
  const layers = [0, 1].map((first) => writeZeroedLayer(join(folder, `${first}`), 1000, { first }));
  const table = new ImageTable({ log: () => undefined }, () => undefined);
  t.teardown(() => table.close());
  let allocated = 0;
  const Native = SharedArrayBuffer;
  t.teardown(() => (globalThis.SharedArrayBuffer = Native));
  globalThis.SharedArrayBuffer = class extends Native {
    constructor(size: number) {
      super(size);
      allocated += size;
    }
  } as SharedArrayBufferConstructor;
  const alone = await table.open(sourceOfWords(layers));
  table.release(alone);
  const ofOne = allocated;
  t.ok(ofOne > 2000 * 16, `${ofOne} bytes`);
  const held = await Promise.all(
    Array.from({ length: 20 }, () => table.open(sourceOfWords(layers))),
  );
  t.equal(allocated, 2 * ofOne, 'one index was built for all of them');
  t.equal(new Set(held.map(({ key }) => key)).size, 1);
  for (const each of held) table.release(each);
  const broken = join(folder, 'broken');
  writeFileSync(broken, readFileSync(layers[0] as string).subarray(0, 8192));
  const failed = await Promise.allSettled(
    Array.from({ length: 20 }, () => table.open(sourceOfWords([broken]))),
  );
  t.ok(
    failed.every(({ status }) => status === 'rejected'),
    'all of them are answered',
  );
});

await test('an image that is named in two ways: each holder has its own name and source', async (t) => {
  const { table, image, published, open } = start(t);
  const other = `${image(0)}.link`;
  symlinkSync(image(0), other);
  await table.setExports(exportsOf({ a: image(0), b: other }));
  const held = await table.open(sourceOf(other));
  for (const [each, path] of [
    [table.exports.get('a'), image(0)],
    [table.exports.get('b'), other],
    [held, other],
  ] as const) {
    t.equal(each?.name, path);
    t.same(each?.source, sourceOf(path));
  }
  t.equal(new Set(published.at(-1)?.map(({ key }) => key)).size, 1, 'one image');
  t.equal(await settled(open, 1), 1);
  for (const each of (await table.setExports(new Map())).values()) table.release(each);
  t.equal(await settled(open, 1), 1, 'still held');
  table.release(held);
  t.equal(await settled(open, 0), 0);
});

await test('images with other bytes are never shared', async (t) => {
  const { table, image } = start(t);
  const one = await table.open(sourceOf(image(0)));
  const twin = randomBytes(1, 20_000);
  twin[10_000] = (twin[10_000] ?? 0) ^ 1;
  writeFileSync(image(1), twin);
  const other = await table.open(sourceOf(image(1)));
  t.equal(other.fingerprint, one.fingerprint, 'the fingerprint cannot tell them apart');
  t.not(other.key, one.key);
  // Written in place while it is open.
  writeFileSync(image(0), twin);
  utimesSync(image(0), 1, 1);
  const changed = await table.open(sourceOf(image(0)));
  t.not(changed.key, one.key);
  for (const each of [one, other, changed]) table.release(each);
});

await test('exports are published to reactors, and closed when removed', async (t) => {
  const { table, published, image, open, log } = start(t);
  const none = await table.setExports(exportsOf({ a: image(0), b: image(1), c: image(0) }));
  t.equal(none.size, 0);
  t.same(namesOf(published.at(-1)), ['a', 'b', 'c']);
  t.equal(await settled(open, 2), 2);
  t.equal(log.filter((line) => line.startsWith('info: export ')).length, 3);
  const before = table.exports.get('a');
  const gone = await table.setExports(exportsOf({ a: image(0), d: image(2) }));
  t.same(namesOf(published.at(-1)), ['a', 'd']);
  t.equal(table.exports.get('a')?.key, before?.key, 'what is the same stays open');
  t.equal(
    log.filter((line) => line.startsWith('info: export ')).length,
    4,
    'and is not published again',
  );
  t.equal(await settled(open, 3), 3, 'readers of the old ones go on');
  t.same([...gone.keys()], ['a', 'b', 'c']);
  for (const each of gone.values()) table.release(each);
  t.equal(await settled(open, 2), 2);
});

await test('if a required export fails, the table stays as it was', async (t) => {
  const { table, published, image, open } = start(t);
  await table.setExports(exportsOf({ a: image(0) }));
  const before = { exports: table.exports, published: published.length };
  const wrong = exportsOf({ a: image(0), b: image(1), c: image(3), d: '/no/such/file' });
  await t.rejects(
    table.setExports(wrong, (name) => name === 'd'),
    { code: 'NOT_FOUND', message: /\/no\/such\/file/ },
  );
  t.equal(table.exports, before.exports);
  t.equal(published.length, before.published, 'nothing is published');
  t.equal(await settled(open, 1), 1);
  const held = (await table.setExports(new Map())).get('a');
  if (held) table.release(held);
  t.equal(await settled(open, 0), 0, 'all holders are released');
});

await test('hidden images are published but are not exports', async (t) => {
  const { table, published, image } = start(t);
  await table.setExports(exportsOf({ a: image(0) }));
  const held = await table.open(sourceOf(image(0)));
  table.hide(held);
  t.same(namesOf(published.at(-1)), ['a', `(${held.key})`]);
  t.same([...table.exports.keys()], ['a'], 'hidden images are not exports');
  const before = await table.setExports(exportsOf({ b: image(1) }));
  for (const each of before.values()) table.release(each);
  t.same(namesOf(published.at(-1)), ['b', `(${held.key})`], 'they outlive a reload');
  const names = ['b', held.key, 'none'].map((name) => table.nameOf(name));
  t.same(names, [image(1), image(0), null]);
  table.unhide(held);
  t.same(namesOf(published.at(-1)), ['b']);
  const count = published.length;
  table.unhide(held);
  t.equal(published.length, count, 'nothing is published');
});

await test('sets of exports take effect in order, however long the first takes', async (t) => {
  const { table, published, image } = start(t);
  await Promise.all([
    table.setExports(
      exportsOf(Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`${i}`, image(i % 3)]))),
    ),
    table.setExports(exportsOf({ last: image(0) })),
  ]);
  t.same([...table.exports.keys()], ['last']);
  t.same(namesOf(published.at(-1)), ['last']);
});

await test('an image that opens slowly does not delay the others', async (t) => {
  const { published, log, logger, image } = start(t);
  const large = `${image(0)}-large`;
  writeZeroedLayer(large, 500_000);
  const table = new ImageTable(logger, (specs) => published.push(specs), false, 20);
  t.teardown(() => table.close());
  await table.setExports(exportsOf({ large, a: image(0) }));
  // The small one may be late too on a busy machine; the large one needs a thread.
  t.match(table.failed.get('large'), { isOpening: true, problem: { code: 'BUSY', tries: 0 } });
  t.ok(
    log.includes('warn: export "large": its image is still being opened; the others are served'),
  );
  for (let tries = 0; table.exports.size < 2 && tries < 2000; tries++) await pause(10);
  t.same([...table.exports.keys()].toSorted(), ['a', 'large']);
  t.equal(table.failed.size, 0);
  // Required exports are waited for.
  const before = await table.setExports(exportsOf({ again: large, b: image(1) }), () => true);
  for (const held of before.values()) table.release(held);
  t.same([...table.exports.keys()], ['again', 'b']);
});

await test('one export is set and removed, and the others stay as they are', async (t) => {
  const { table, published, image, open, log } = start(t);
  await table.setExports(exportsOf({ a: image(0), bad: '/nowhere' }));
  const a = table.exports.get('a');
  const kept: string[] = [];
  const set = async (name: string, path: string) =>
    table.setExport(name, await table.open(sourceOf(path)), () => void kept.push(name));
  t.equal(await set('b', image(1)), null);
  t.equal(table.exports.get('a'), a, 'it was not opened again');
  t.same(namesOf(published.at(-1)), ['a', 'b']);
  const before = await set('b', image(2));
  t.match(before, { source: sourceOf(image(1)) });
  if (before) table.release(before);
  t.equal(await set('bad', image(1)), null, 'it takes the place of a failed one');
  t.equal(table.failed.size, 0);
  t.match(log.at(-1), /^info: export "bad": /);
  t.same(kept, ['b', 'b', 'bad']);
  t.match(await table.removeExport('bad', () => undefined), { source: sourceOf(image(1)) });
  t.equal(await table.removeExport('none', () => undefined), null);
  t.same(namesOf(published.at(-1)), ['a', 'b']);
  t.equal(await settled(open, 3), 3, 'the caller releases what it got');
});

function never(): void {
  throw new Error('the disk is full');
}

await test('what cannot be kept changes no export', async (t) => {
  const { table, published, image } = start(t);
  await table.setExports(exportsOf({ a: image(0) }));
  const count = published.length;
  const held = await table.open(sourceOf(image(1)));
  await t.rejects(table.setExport('a', held, never), /the disk is full/);
  await t.rejects(table.removeExport('a', never), /the disk is full/);
  t.match(table.exports.get('a'), { source: sourceOf(image(0)) });
  t.equal(published.length, count);
  table.release(held);
});
