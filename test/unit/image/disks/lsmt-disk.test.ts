// The merged disk over sources that block, fail or must be fetched; other reads are in test/property.
import { test } from 'tap';
import type { BlobSource } from '../../../../daemon/blob/source.js';
import { OverlaybdError } from '../../../../daemon/errors.js';
import type { ReadsTogether } from '../../../../daemon/lib/disk.js';
import { LsmtDisk } from '../../../../daemon/image/disks/lsmt-disk.js';
import { RawDisk } from '../../../../daemon/image/disks/raw-disk.js';
import { ZEROED } from '../../../../daemon/lsmt/entry-log.js';
import { indexOf } from '../../../support/segments.js';

const SECTOR = 512;
const SECTORS = 40;

type Range = [offset: number, length: number];

/** A source that records calls and behaves as the test says. */
class ScriptedSource implements BlobSource {
  readonly name = 'scripted';
  readonly size = 1 << 20;
  readonly isLocal = false;
  readonly ensured: Range[] = [];
  readonly loaded: Range[] = [];
  readonly prefetched: Range[] = [];
  readonly reads: Range[] = [];
  readonly announced: Range[] = [];
  readonly together: ReadsTogether = { round: 0, begin: () => true, end: () => undefined };
  waits = false;
  fails = false;
  fetch: Promise<void> | null = null;
  readonly #fill: number;

  constructor(fill: number) {
    this.#fill = fill;
  }

  ensure(offset: number, length: number): Promise<void> | null {
    this.ensured.push([offset, length]);
    return this.fetch;
  }

  read(offset: number, length: number, dst: Uint8Array, at: number): boolean {
    this.reads.push([offset, length]);
    if (this.fails) throw new OverlaybdError('IO', 'scripted: no');
    if (this.waits) return false;
    dst.fill(this.#fill, at, at + length);
    return true;
  }

  announce(offset: number, length: number): void {
    this.announced.push([offset, length]);
  }

  async load(offset: number, length: number): Promise<void> {
    this.loaded.push([offset, length]);
    if (this.fails) throw new OverlaybdError('IO', `scripted: no load of ${offset}`);
    this.waits = false;
  }

  async prefetch(offset: number, length: number): Promise<void> {
    this.prefetched.push([offset, length]);
  }
}

/** Sectors 4-7 of layer 0, 8-9 zeroed, 10-11 of layer 1, a hole, 20-29 of layer 0. */
function deviceOf(): { device: LsmtDisk; bottom: ScriptedSource; top: ScriptedSource } {
  const bottom = new ScriptedSource(0xb0);
  const top = new ScriptedSource(0x70);
  const index = indexOf(
    [
      [4, 4, 100, 0],
      [8, 2, ZEROED, 1],
      [10, 2, 50, 1],
      [20, 10, 8, 0],
    ],
    SECTORS * SECTOR,
  );
  return { device: new LsmtDisk(index, [bottom, top]), bottom, top };
}

function read(device: LsmtDisk, offset: number, length: number): Buffer | null {
  const bytes = Buffer.alloc(length + 2, 0xee);
  if (!device.read(offset, length, bytes, 1, { hint: 0 })) return null;
  if (bytes[0] !== 0xee || bytes.at(-1) !== 0xee) throw new Error('wrote outside its place');
  return bytes.subarray(1, -1);
}

await test('one read across holes, layers and zeroed ranges', (t) => {
  const { device, bottom, top } = deviceOf();
  const all = read(device, 0, SECTORS * SECTOR);
  const map = Array.from({ length: SECTORS }, (_, i) => all?.[i * SECTOR]);
  const expected = Array<number>(SECTORS).fill(0);
  expected.fill(0xb0, 4, 8).fill(0x70, 10, 12).fill(0xb0, 20, 30);
  t.same(map, expected);
  t.same(bottom.reads, [
    [100 * SECTOR, 4 * SECTOR],
    [8 * SECTOR, 10 * SECTOR],
  ]);
  t.same(top.reads, [[50 * SECTOR, 2 * SECTOR]]);
  t.end();
});

await test('a read is announced to the layers that have its bytes', (t) => {
  const { device, bottom, top } = deviceOf();
  t.equal(device.together, bottom.together);
  device.announce(5 * SECTOR + 7, 20 * SECTOR);
  t.same(bottom.announced, [
    [101 * SECTOR + 7, 3 * SECTOR - 7],
    [8 * SECTOR, 5 * SECTOR + 7],
  ]);
  t.same(top.announced, [[50 * SECTOR, 2 * SECTOR]]);
  for (const at of [0, 3, 8, 12, 19, 30, 39]) device.announce(at * SECTOR, SECTOR);
  t.equal(bottom.announced.length + top.announced.length, 3, 'holes and zeros');
  device.announce(39 * SECTOR, 0);
  const [reads, ensured] = [bottom.reads.length + top.reads.length, bottom.ensured.length];
  t.same([reads, ensured], [0, 0]);
  t.equal(new LsmtDisk(indexOf([], 10 * SECTOR), []).together, undefined);
  t.end();
});

await test('unaligned ranges read no more than they need', (t) => {
  const { device, bottom, top } = deviceOf();
  t.ok(read(device, 5 * SECTOR + 7, 3)?.equals(Buffer.alloc(3, 0xb0)));
  t.same(bottom.reads, [[101 * SECTOR + 7, 3]]);
  t.ok(read(device, 12 * SECTOR, 8 * SECTOR)?.equals(Buffer.alloc(8 * SECTOR)), 'a hole');
  t.ok(read(device, 8 * SECTOR + 1, 100)?.equals(Buffer.alloc(100)), 'a zeroed range');
  t.ok(
    read(device, 30 * SECTOR, 10 * SECTOR)?.equals(Buffer.alloc(10 * SECTOR)),
    'after all segments',
  );
  t.equal(read(device, 3 * SECTOR, 0)?.length, 0);
  t.equal(bottom.reads.length + top.reads.length, 1);
  t.end();
});

await test('ensure() calls each layer for its part, and waits for all fetches', async (t) => {
  const { device, bottom, top } = deviceOf();
  t.equal(device.ensure(0, SECTORS * SECTOR), null);
  t.same(bottom.ensured, [
    [100 * SECTOR, 4 * SECTOR],
    [8 * SECTOR, 10 * SECTOR],
  ]);
  t.same(top.ensured, [[50 * SECTOR, 2 * SECTOR]]);
  let arrive: (() => void) | undefined;
  top.fetch = new Promise((resolve) => {
    arrive = resolve;
  });
  t.equal(device.ensure(4 * SECTOR, 4 * SECTOR), null, 'a layer that has its bytes');
  t.equal(device.ensure(8 * SECTOR, 2 * SECTOR), null, 'zeros');
  t.equal(device.ensure(12 * SECTOR, 100), null, 'a hole');
  const wait = device.ensure(7 * SECTOR, 4 * SECTOR);
  const early = await Promise.race([wait, Promise.resolve('not yet')]);
  t.equal(early, 'not yet');
  arrive?.();
  t.equal(await wait, undefined);
});

await test('a fetch that fails rejects ensure()', async (t) => {
  const { device, top } = deviceOf();
  top.fetch = Promise.reject(new OverlaybdError('IO', 'registry: gone'));
  await t.rejects(device.ensure(0, SECTORS * SECTOR) ?? Promise.resolve(), { code: 'IO' });
});

await test('read() returns false if it would block, and works after load()', async (t) => {
  const { device, bottom, top } = deviceOf();
  top.waits = true;
  t.equal(read(device, 0, SECTORS * SECTOR), null);
  t.ok(read(device, 0, 9 * SECTOR), 'a range that does not need the disk is read');
  await device.load(6 * SECTOR, 15 * SECTOR);
  t.same(bottom.loaded, [
    [102 * SECTOR, 2 * SECTOR],
    [8 * SECTOR, SECTOR],
  ]);
  t.same(top.loaded, [[50 * SECTOR, 2 * SECTOR]]);
  t.ok(read(device, 0, SECTORS * SECTOR));
});

await test('adjacent bytes of a layer are loaded and prefetched in one piece', async (t) => {
  const [bottom, top] = [new ScriptedSource(1), new ScriptedSource(2)];
  const index = indexOf(
    [
      [0, 4, 100, 0],
      [4, 4, 104, 0],
      [9, 1, 108, 0],
      [10, 1, 3, 1],
      [11, 1, 109, 0],
    ],
    SECTORS * SECTOR,
  );
  const device = new LsmtDisk(index, [bottom, top]);
  const expected = [
    [101 * SECTOR, 8 * SECTOR],
    [109 * SECTOR, SECTOR],
  ];
  await device.load(SECTOR, 20 * SECTOR);
  t.same([bottom.loaded, top.loaded], [expected, [[3 * SECTOR, SECTOR]]]);
  await device.prefetch(SECTOR, 20 * SECTOR);
  t.same([bottom.prefetched, top.prefetched], [expected, [[3 * SECTOR, SECTOR]]]);
  t.equal(device.askExtents(), null, 'the index knows all extents');
  bottom.fails = true;
  await t.rejects(device.load(0, 20 * SECTOR), { code: 'IO' });
  t.equal(top.loaded.length, 2, 'the other layers are loaded');
});

await test('an error in one layer leaves the disk usable', (t) => {
  const { device, top } = deviceOf();
  top.fails = true;
  t.throws(() => read(device, 0, SECTORS * SECTOR), { code: 'IO' });
  t.ok(read(device, 0, 10 * SECTOR));
  top.fails = false;
  t.ok(read(device, 0, SECTORS * SECTOR));
  t.end();
});

await test('sequential reads leave the hint at the next segment', (t) => {
  const { device } = deviceOf();
  const cursor = { hint: 0 };
  const bytes = Buffer.alloc(SECTORS * SECTOR);
  const hints: number[] = [];
  for (let sector = 0; sector < SECTORS; sector += 2) {
    device.read(sector * SECTOR, 2 * SECTOR, bytes, 0, cursor);
    hints.push(cursor.hint);
  }
  t.same(hints, [0, 0, 0, 0, 1, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3]);
  t.end();
});

await test('a raw disk passes every call to its source', async (t) => {
  const source = new ScriptedSource(0x11);
  const device = new RawDisk(source);
  t.equal(device.size, source.size);
  t.equal(device.ensure(5, 6), null);
  t.equal(device.read(5, 6, Buffer.alloc(9), 1), true);
  await device.load(7, 8);
  await device.prefetch(9, 10);
  t.same([source.ensured, source.reads, source.loaded], [[[5, 6]], [[5, 6]], [[7, 8]]]);
  t.same(source.prefetched, [[9, 10]]);
  t.equal(device.askExtents(0, 5), null, 'only files have holes');
});
