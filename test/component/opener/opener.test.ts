// Where images are opened: small ones on the calling thread in slices, large ones on the opener thread, which may die.
// The result is the same.
import { appendFileSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import { test, type Test } from 'tap';
import { ReaderFactory } from '../../../daemon/image/disks/reader-factory.js';
import { LsmtIndex } from '../../../daemon/lsmt/merged-index.js';
import { BlobPool } from '../../../daemon/image/plan/blob-pool.js';
import { SMALL_IMAGE_UNITS } from '../../../daemon/opener/effort.js';
import { sourceOfWords, type ImageSource } from '../../../daemon/image/plan/image-source.js';
import { Opener, type OpenImage } from '../../../daemon/opener/opener.js';
import { writeZeroedLayer } from '../../support/lsmt-layout.js';
import { appendUpper } from '../../support/upper-writer.js';

/** More entries than the main thread handles itself. */
const LARGE = SMALL_IMAGE_UNITS + 1000;
const VIRTUAL_SIZE = 2 ** 33;
/** The nice value of the opener thread. */
const NICENESS = 5;

const nothingShared = (): OpenImage | null => null;
const sourceOf = (...paths: string[]): ImageSource => sourceOfWords(paths);

function openerOf(t: Test, strict = false, timeoutMs?: number): Opener {
  const readers = new ReaderFactory();
  const opener = new Opener(new BlobPool(readers), readers, strict, timeoutMs);
  t.teardown(() => opener.close());
  return opener;
}

/** The names of the threads with the nice value of the opener. */
function niceThreads(): string[] {
  return readdirSync('/proc/self/task').flatMap((task) => {
    try {
      const stat = readFileSync(`/proc/self/task/${task}/stat`, 'latin1');
      const end = stat.lastIndexOf(')');
      const isNice = stat.slice(end).split(' ')[17] === `${NICENESS}`;
      return isNice ? [stat.slice(stat.indexOf('(') + 1, end)] : [];
    } catch {
      return []; // it has just ended
    }
  });
}

const openers = (): number => niceThreads().length;

await test('a large image is opened by a thread that ends, with the same result', async (t) => {
  const folder = t.testdir();
  const paths = [0, 1].map((i) =>
    writeZeroedLayer(join(folder, `layer${i}`), LARGE, { first: i, step: 4 }),
  );
  const opener = openerOf(t);
  const opening = opener.open(sourceOf(...paths), nothingShared);
  let turns = 0;
  let most = 0;
  const names = new Set<string>();
  const counting = (async () => {
    for (let done = false; !done; turns++) {
      // A look takes longer than a turn.
      const nice = turns % 8 === 0 ? niceThreads() : [];
      most = Math.max(most, nice.length);
      for (const name of nice) names.add(name);
      done = await Promise.race([opening.then(() => true), nextTurn(false)]);
    }
  })();
  const image = await opening;
  await counting;
  t.equal(most, 1, 'a thread was there');
  t.notOk(names.has('file'), 'reads of other images do not get its low priority');
  t.ok(turns > 20, `the event loop ran ${turns} turns meanwhile`);
  t.equal(image.description, `2 layers, ${2 * LARGE} segments`);
  t.equal(image.size, VIRTUAL_SIZE);
  if (image.disk.kind !== 'lsmt') throw new Error('a stack');
  const index = new LsmtIndex(image.disk.index);
  for (const i of [0, 1, 2 * LARGE - 1]) {
    t.same(
      [index.offsetOf(i), index.layerOf(i), index.isZeroed(i)],
      [Math.floor(i / 2) * 4 + (i % 2), i % 2, true],
    );
  }
  image.close();
  for (let tries = 0; openers() > 0 && tries < 6000; tries++) await pause(10);
  t.equal(openers(), 0, 'the thread has ended');
});

await test('a small image needs no thread', async (t) => {
  const path = writeZeroedLayer(join(t.testdir(), 'layer'), 1000);
  const opener = openerOf(t);
  const opening = opener.open(sourceOf(path), nothingShared);
  let most = 0;
  const watch = setInterval(() => (most = Math.max(most, openers())), 1);
  const image = await opening;
  clearInterval(watch);
  t.equal(most, 0);
  t.equal(image.description, '1 layer, 1000 segments');
  const closed = image.closed();
  t.notOk(closed.aborted);
  image.close();
  t.ok(closed.aborted);
  t.ok(image.closed().aborted, 'also if the first question comes later');
});

await test('errors of large images are those of small ones, and the thread lives on', async (t) => {
  const folder = t.testdir();
  const good = writeZeroedLayer(join(folder, 'good'), LARGE);
  const opener = openerOf(t);
  const unsorted = writeZeroedLayer(join(folder, 'bad'), LARGE, { step: 0 });
  const results = await Promise.allSettled(
    [unsorted, good, unsorted].map((path) => opener.open(sourceOf(path), nothingShared)),
  );
  t.match(results, [
    {
      status: 'rejected',
      reason: { code: 'BAD_FORMAT', message: /bad: lsmt index entry 1 offset/ },
    },
    { status: 'fulfilled', value: { size: VIRTUAL_SIZE } },
    { status: 'rejected', reason: { code: 'BAD_FORMAT' } },
  ]);
  for (const each of results) if (each.status === 'fulfilled') each.value.close();
});

/** Has timers of this time made by `make` instead, which gets the callback and the real function. */
function withTimersOf(
  t: Test,
  ms: number,
  make: (call: () => void, real: typeof setTimeout) => NodeJS.Timeout,
): void {
  const real = globalThis.setTimeout;
  t.teardown(() => void (globalThis.setTimeout = real));
  globalThis.setTimeout = new Proxy(real, {
    apply(target, self, args: [call: () => void, ms?: number]) {
      return args[1] === ms ? make(args[0], real) : Reflect.apply(target, self, args);
    },
  });
}

await test('an opening that advances gets all of its time again', async (t) => {
  const path = writeZeroedLayer(join(t.testdir(), 'layer'), LARGE);
  const timeoutMs = 86_400_001;
  let refreshed = 0;
  withTimersOf(t, timeoutMs, (call, real) => {
    const timer = real(call, timeoutMs);
    const refresh = timer.refresh.bind(timer);
    timer.refresh = () => {
      refreshed++;
      return refresh();
    };
    return timer;
  });
  const image = await openerOf(t, false, timeoutMs).open(sourceOf(path), nothingShared);
  t.ok(refreshed > 0, `${refreshed} times`);
  image.close();
});

await test('an opening that advances has a limit, too', async (t) => {
  const path = writeZeroedLayer(join(t.testdir(), 'layer'), LARGE);
  withTimersOf(t, 30 * 60_000, (call, real) => real(call, 0));
  await t.rejects(openerOf(t).open(sourceOf(path), nothingShared), {
    code: 'LIMIT',
    message: /layer: it could not be opened within 30 min$/,
  });
});

await test('opening an image has a time limit', async (t) => {
  const path = writeZeroedLayer(join(t.testdir(), 'layer'), LARGE);
  const opener = openerOf(t, false, 0);
  await t.rejects(opener.open(sourceOf(path), nothingShared), {
    code: 'LIMIT',
    message: /layer: opening it made no progress for 0 s/,
  });
});

await test('an opening that is cancelled ends, also one that waits; others go on', async (t) => {
  const folder = t.testdir();
  // The first one takes so long that it is not open when it is cancelled.
  const paths = [14, 1, 1].map((times, i) =>
    writeZeroedLayer(join(folder, `layer${i}`), times * LARGE),
  );
  const opener = openerOf(t);
  const cancels = paths.map(() => new AbortController());
  const [first, second, third] = paths.map((path, i) =>
    opener.open(sourceOf(path), nothingShared, undefined, cancels[i]?.signal),
  ) as [Promise<OpenImage>, Promise<OpenImage>, Promise<OpenImage>];
  const settled = Promise.allSettled([first, second]);
  while (openers() === 0) await nextTurn();
  cancels[1]?.abort();
  cancels[0]?.abort();
  const cancelled = { code: 'BUSY', message: 'the opening was cancelled' };
  t.match(await settled, [{ reason: cancelled }, { reason: cancelled }]);
  (await third).close();
  while (openers() > 0) await pause(5);
  const ended = openerOf(t).open(
    sourceOf(paths[0] as string),
    nothingShared,
    undefined,
    AbortSignal.abort(),
  );
  await t.rejects(ended, { code: 'BUSY' });
});

await test('at shutdown waiting callers get an error', async (t) => {
  const path = writeZeroedLayer(join(t.testdir(), 'layer'), LARGE);
  const opener = openerOf(t);
  const both = Promise.allSettled([1, 2].map(() => opener.open(sourceOf(path), nothingShared)));
  await pause(5);
  opener.close();
  await t.rejects(
    opener.open(sourceOf(path), nothingShared),
    { code: 'BUSY' },
    'later callers get it too',
  );
  for (const each of await both) {
    // One may have finished by then.
    if (each.status === 'fulfilled') each.value.close();
    else t.match(each.reason, { code: 'BUSY' });
  }
});

await test('the sum of all entries is checked before anything is read', async (t) => {
  const folder = t.testdir();
  const path = writeZeroedLayer(join(folder, 'layer'), 1_000_000);
  const opener = openerOf(t);
  await t.rejects(opener.open(sourceOf(...Array<string>(255).fill(path)), nothingShared), {
    code: 'LIMIT',
    message: /21000000 index entries in its lowest 21 layers, at most 20971520 in a stack$/,
  });
  // Below the limit a layer that occurs several times is read once.
  const twice = await opener.open(sourceOf(...Array<string>(20).fill(path)), nothingShared);
  t.equal(twice.description, '20 layers, 1000000 segments');
  if (twice.disk.kind !== 'lsmt') throw new Error('a stack');
  t.equal(new LsmtIndex(twice.disk.index).layerOf(0), 19, 'the topmost layer counts');
  t.equal(new Set(twice.disk.layers).size, 1);
  twice.close();
});

await test('memory stays bounded while four million unsorted entries are opened', async (t) => {
  const folder = t.testdir();
  const [data, index] = [join(folder, 'data'), join(folder, 'index')];
  const count = 4_000_000;
  const upper = appendUpper({ virtualSize: 2 ** 34, writes: [] });
  // Little-endian, as all machines that the daemon runs on.
  const entries = new Uint32Array(count * 4);
  for (let i = 0; i < count; i++) {
    entries[i * 4] = ((i * 7919) % count) * 8;
    entries[i * 4 + 1] = 1 << 18;
    entries[i * 4 + 2] = 8;
    entries[i * 4 + 3] = 0x800000;
  }
  writeFileSync(data, Buffer.concat([upper.data, Buffer.alloc(4096)]));
  writeFileSync(index, upper.index);
  appendFileSync(index, new Uint8Array(entries.buffer));
  const config = join(folder, 'config.v1.json');
  writeFileSync(config, JSON.stringify({ upper: { index, data } }));
  const opener = openerOf(t);
  const before = process.memoryUsage.rss();
  let most = 0;
  const watch = setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), 2);
  const image = await opener.open(sourceOf(config), nothingShared);
  clearInterval(watch);
  t.equal(image.description, `1 layer, ${count} segments`);
  // 28 bytes an entry, and a thread with its heap, which is twice as large if coverage is measured; as lists of
  // segments the entries took several times that.
  t.ok(most - before < 28 * count + 120 * 2 ** 20, `${most - before} bytes at the peak`);
  image.close();
});

await test('strict: a raw disk that looks like something else is refused', async (t) => {
  const folder = t.testdir();
  const [packed, ragged, good] = ['packed', 'ragged', 'good'].map((name) => join(folder, name));
  writeFileSync(packed as string, Buffer.concat([Buffer.from('1f8b', 'hex'), Buffer.alloc(1022)]));
  writeFileSync(ragged as string, Buffer.alloc(1000));
  writeFileSync(good as string, Buffer.alloc(1024));
  for (const [path, doubt] of [
    [packed, 'it begins as a gzip file does (1f8b): unpack or convert it first'],
    [ragged, 'its size of 1000 bytes is not a multiple of 512 (488 left over): is it complete?'],
  ] as const) {
    const image = await openerOf(t).open(sourceOf(path as string), nothingShared);
    t.same(image.notes, [`${path}: served as a raw disk image, but ${doubt}`]);
    image.close();
    await t.rejects(openerOf(t, true).open(sourceOf(path as string), nothingShared), {
      code: 'BAD_FORMAT',
      message: `${path}: not served as a raw disk image (strict): ${doubt}`,
    });
  }
  const image = await openerOf(t, true).open(sourceOf(good as string), nothingShared);
  t.same(image.notes, []);
  image.close();
});
