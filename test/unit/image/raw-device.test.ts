// The extents of a raw image: what SEEK_DATA and SEEK_HOLE say, asked in any order, and no seek too many.
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { FileSource } from '../../../daemon/blob/file-source.js';
import { RawDevice } from '../../../daemon/image/raw-device.js';
import { EXTENT_DATA, ExtentList } from '../../../daemon/lib/extent-list.js';
import { seededRandom } from '../../support/pattern.js';

const BLOCK = 65_536;
const BLOCKS = 64;

/** A source that counts how often the file system is asked. */
class CountingSource extends FileSource {
  asked = 0;

  override nextData(offset: number): number {
    this.asked++;
    return super.nextData(offset);
  }

  override nextHole(offset: number): number {
    this.asked++;
    return super.nextHole(offset);
  }
}

/** A file whose blocks hold data where `isData` says so, else holes. */
function sparseFile(t: Test, isData: (block: number) => boolean): CountingSource {
  const path = join(t.testdir(), 'raw.img');
  const fd = openSync(path, 'w+');
  t.teardown(() => {
    closeSync(fd);
  });
  ftruncateSync(fd, BLOCKS * BLOCK);
  for (let i = 0; i < BLOCKS; i++)
    if (isData(i)) writeSync(fd, Buffer.alloc(BLOCK, 1), 0, BLOCK, i * BLOCK);
  return new CountingSource({ kind: 'file', name: path, fd, base: 0, size: BLOCKS * BLOCK });
}

/** Whether each byte of the range is data, one character for every 512 of them. */
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

await test('runs of data and holes, asked in any order', (t) => {
  const source = sparseFile(t, inRuns);
  if (source.nextData(BLOCK) === BLOCK) {
    t.pass('sparse files', { skip: 'NOT TESTED, no holes in this file system' });
    t.end();
    return;
  }
  const device = new RawDevice(source);
  const list = new ExtentList(256);
  const next = seededRandom(3);
  const wrong: string[] = [];
  for (let i = 0; i < 2000; i++) {
    const from = next() % (BLOCKS * (BLOCK / 512));
    const n = 1 + (next() % Math.min(700, BLOCKS * (BLOCK / 512) - from));
    let expected = '';
    for (let at = from; at < from + n; at++) expected += inRuns(Math.floor(at / 128)) ? 'd' : '-';
    const covered = device.extents(from * 512, n * 512, list);
    if (covered !== n * 512 || describe(list) !== expected) wrong.push(`${from}+${n}`);
  }
  t.same(wrong, []);
  t.end();
});

await test('a file without holes is asked about twice', (t) => {
  const source = sparseFile(t, () => true);
  const device = new RawDevice(source);
  const list = new ExtentList(4);
  for (let at = 0; at < BLOCKS * BLOCK; at += BLOCK) {
    t.equal(device.extents(at, BLOCK, list), BLOCK);
    t.equal(describe(list), 'd'.repeat(BLOCK / 512));
  }
  t.equal(source.asked, 2);
  t.end();
});

await test('a list that becomes full covers less', (t) => {
  const source = sparseFile(t, (block) => block % 2 === 0);
  const device = new RawDevice(source);
  const list = new ExtentList(3);
  const covered = device.extents(0, BLOCKS * BLOCK, list);
  t.ok(covered === 3 * BLOCK || covered === BLOCKS * BLOCK, `${covered} bytes`);
  t.end();
});
