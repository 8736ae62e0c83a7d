// The extents of a raw image: the results of SEEK_DATA and SEEK_HOLE in any order, without needless seeks.
import { closeSync, ftruncateSync, openSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { closeFile } from '../../../../daemon/blob/file-jobs.js';
import { FileSource } from '../../../../daemon/blob/file-source.js';
import { openFile } from '../../../../daemon/blob/open-file.js';
import { RawDisk } from '../../../../daemon/image/disks/raw-disk.js';
import type { DataRuns } from '../../../../daemon/lib/disk.js';
import { EXTENT_DATA, ExtentList } from '../../../../daemon/lib/extent-list.js';
import { seededRandom } from '../../../support/pattern.js';

const BLOCK = 65_536;
const BLOCKS = 64;

/** A source that counts calls to the file system. */
class CountingSource extends FileSource {
  asked = 0;

  override dataRuns(offset: number, length: number): Promise<DataRuns | null> {
    this.asked++;
    return super.dataRuns(offset, length);
  }
}

/** A file whose blocks hold data where `isData` is true, and holes elsewhere. */
async function sparseFile(t: Test, isData: (block: number) => boolean): Promise<CountingSource> {
  const path = join(t.testdir(), 'raw.img');
  const written = openSync(path, 'w+');
  ftruncateSync(written, BLOCKS * BLOCK);
  for (let i = 0; i < BLOCKS; i++)
    if (isData(i)) writeSync(written, Buffer.alloc(BLOCK, 1), 0, BLOCK, i * BLOCK);
  closeSync(written);
  const { fd, spec } = await openFile(path);
  t.teardown(() => closeFile(fd));
  return new CountingSource(spec);
}

/** Asks for unknown extents as a reader does. @returns how much of the range is in the list */
async function extentsOf(
  device: RawDisk,
  offset: number,
  length: number,
  list: ExtentList,
): Promise<number> {
  const known = device.extents(offset, length, list, { hint: 0 }, null);
  if (known > 0) return known;
  const runs = await device.askExtents(offset, length);
  return device.extents(offset, length, list, { hint: 0 }, runs);
}

/** Whether each byte of the range is data: one character for every 512 bytes. */
function describe(list: ExtentList): string {
  let out = '';
  for (let i = 0; i < list.count; i++) {
    const is = list.kinds[i] === EXTENT_DATA ? 'd' : '-';
    out += is.repeat((list.lengths[i] as number) / 512);
  }
  return out;
}

/** Single blocks and pairs with holes between them, and a long run at the end. */
function inRuns(block: number): boolean {
  return (block * 7) % 5 < 2 || block > 55;
}

/** Whether the file system supports holes. */
async function hasHoles(t: Test, source: FileSource): Promise<boolean> {
  const found = await source.dataRuns(BLOCK, BLOCK);
  if (found?.runs.length === 0) return true;
  t.pass('sparse files', { skip: 'NOT TESTED, no holes in this file system' });
  return false;
}

await test('runs of data and holes, asked for in any order', async (t) => {
  const source = await sparseFile(t, inRuns);
  if (!(await hasHoles(t, source))) return;
  const device = new RawDisk(source);
  const list = new ExtentList(256);
  const next = seededRandom(3);
  const wrong: string[] = [];
  for (let i = 0; i < 2000; i++) {
    const from = next() % (BLOCKS * (BLOCK / 512));
    const n = 1 + (next() % Math.min(700, BLOCKS * (BLOCK / 512) - from));
    let expected = '';
    for (let at = from; at < from + n; at++) expected += inRuns(Math.floor(at / 128)) ? 'd' : '-';
    let found = '';
    for (let done = 0; done < n * 512;) {
      done += await extentsOf(device, from * 512 + done, n * 512 - done, list);
      found += describe(list);
    }
    if (found !== expected) wrong.push(`${from}+${n}`);
  }
  t.same(wrong, []);
});

await test('a file without holes is asked once', async (t) => {
  const source = await sparseFile(t, () => true);
  const device = new RawDisk(source);
  const list = new ExtentList(4);
  for (let at = 0; at < BLOCKS * BLOCK; at += BLOCK) {
    t.equal(await extentsOf(device, at, BLOCK, list), BLOCK);
    t.equal(describe(list), 'd'.repeat(BLOCK / 512));
  }
  t.equal(source.asked, 1);
});

await test('a hole is asked for every time', async (t) => {
  const source = await sparseFile(t, (block) => block === 0);
  if (!(await hasHoles(t, source))) return;
  const device = new RawDisk(source);
  const list = new ExtentList(4);
  const before = source.asked;
  for (let i = 0; i < 3; i++) {
    t.equal(await extentsOf(device, BLOCK, BLOCK, list), BLOCK);
    t.equal(describe(list), '-'.repeat(BLOCK / 512));
  }
  t.equal(source.asked, before + 3);
});

await test('a file that was cut reports errors, not holes', async (t) => {
  const source = await sparseFile(t, (block) => block < 4);
  const device = new RawDisk(source);
  truncateSync(source.name, 2 * BLOCK);
  const lost = { code: 'SHORT_READ', message: /the file is shorter than the 4194304 bytes/ };
  // After the cut, across it, and before it: the size at opening counts.
  for (const offset of [10 * BLOCK, BLOCK, 0]) {
    await t.rejects(async () => device.askExtents(offset, 2 * BLOCK), lost);
  }
  await t.rejects(device.load(10 * BLOCK, 512), { code: 'SHORT_READ' });
  t.equal(device.read(10 * BLOCK, 512, Buffer.alloc(512), 0), false);
  truncateSync(source.name, BLOCKS * BLOCK);
  await device.load(10 * BLOCK, 512);
});

await test('a list that becomes full covers less', async (t) => {
  const source = await sparseFile(t, (block) => block % 2 === 0);
  const device = new RawDisk(source);
  const list = new ExtentList(3);
  const covered = await extentsOf(device, 0, BLOCKS * BLOCK, list);
  t.ok(covered === 3 * BLOCK || covered === BLOCKS * BLOCK, `${covered} bytes`);
});
