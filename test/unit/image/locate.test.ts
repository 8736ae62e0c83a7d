// Where a device says that bytes are, they are: checked against what it reads.
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { FileSource } from '../../../daemon/blob/file-source.js';
import { LsmtDevice } from '../../../daemon/image/lsmt-device.js';
import { RawDevice } from '../../../daemon/image/raw-device.js';
import type { FileRange } from '../../../daemon/lib/file-range.js';
import { LsmtIndex, packIndex } from '../../../daemon/lsmt/index.js';
import { SegmentList, ZEROED } from '../../../daemon/lsmt/segment-list.js';
import { native } from '../../../daemon/native/binding.js';
import { randomBytes, seededRandom } from '../../support/pattern.js';

const SECTOR = 512;
const LAYER_SECTORS = 400;
const DEVICE_SECTORS = 300;

await test('ranges of a stack of layers', (t) => {
  const folder = t.testdir();
  const fds = [0, 1, 2].map((i) => {
    const fd = openSync(join(folder, `layer${i}`), 'w+');
    // Each begins somewhere in its file, as the member of a tar does.
    writeSync(fd, randomBytes(i, 777 + LAYER_SECTORS * SECTOR));
    return fd;
  });
  t.teardown(() => fds.forEach((fd) => closeSync(fd)));
  const layers = fds.map((fd, i) => {
    const size = LAYER_SECTORS * SECTOR;
    return new FileSource({ kind: 'file', name: `layer ${i}`, fd, base: 777, size });
  });
  const next = seededRandom(11);
  const random = (below: number): number => (next() >>> 4) % below;
  const range: FileRange = { fd: -1, position: -1 };
  let located = 0;
  let across = 0;
  for (let round = 0; round < 60; round++) {
    const list = new SegmentList();
    let at = random(4);
    let layer = 0;
    let moffset = 0;
    while (at < DEVICE_SECTORS - 40) {
      const length = 1 + random(20);
      // Often on where the last one ended, as long runs are; else elsewhere, or zeroed.
      const kind = random(8);
      if (kind === 0) list.push(at, length, ZEROED, layer);
      else {
        if (kind < 3 || moffset + length > LAYER_SECTORS) {
          layer = random(3);
          moffset = random(LAYER_SECTORS - length);
        }
        list.push(at, length, moffset, layer);
        moffset += length;
      }
      at += length + (random(4) === 0 ? random(5) : 0);
    }
    const index = new LsmtIndex(packIndex(list, DEVICE_SECTORS * SECTOR));
    const device = new LsmtDevice(index, layers);
    const cursor = { hint: 0 };
    for (let i = 0; i < 300; i++) {
      const offset = random(DEVICE_SECTORS * SECTOR - 1);
      const length = 1 + random(Math.min(DEVICE_SECTORS * SECTOR - offset, 40 * SECTOR));
      if (!device.locate(offset, length, range, cursor)) continue;
      located++;
      if (index.find(Math.floor(offset / SECTOR), 0) !== cursor.hint) across++;
      const there = Buffer.alloc(length);
      const read = Buffer.alloc(length);
      native.pread(range.fd, there, 0, length, range.position);
      device.read(read, 0, length, offset, true, { hint: 0 });
      if (!there.equals(read)) return void t.fail(`round ${round}: ${offset}+${length}`);
    }
  }
  t.ok(located > 1000, `${located} of 18000`);
  t.ok(across > 100, `${across} over more than one segment`);
  t.end();
});

await test('a raw disk is where its file is, up to its end', (t) => {
  const source = new FileSource({ kind: 'file', name: 'raw', fd: 7, base: 100, size: 5000 });
  const range: FileRange = { fd: -1, position: -1 };
  t.equal(new RawDevice(source).locate(4000, 1000, range), true);
  t.same(range, { fd: 7, position: 4100 });
  t.equal(source.locate(4000, 1001, range), false);
  t.end();
});
