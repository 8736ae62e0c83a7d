// The places in files that a disk reports, checked against the bytes that it reads.
import { readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { closeFile } from '../../../daemon/blob/file-jobs.js';
import { FileSource } from '../../../daemon/blob/file-source.js';
import { openFile } from '../../../daemon/blob/open-file.js';
import { LsmtDisk } from '../../../daemon/image/disks/lsmt-disk.js';
import { RawDisk } from '../../../daemon/image/disks/raw-disk.js';
import type { FileRange } from '../../../daemon/lib/disk.js';
import { readLoaded } from '../../../daemon/lib/loaded.js';
import { ZEROED } from '../../../daemon/lsmt/entry-log.js';
import { randomBytes, seededRandom } from '../../support/pattern.js';
import { unjoinedIndexOf, type Row } from '../../support/segments.js';

const SECTOR = 512;
const LAYER_SECTORS = 400;
const DEVICE_SECTORS = 300;

await test('locate() on a stack of layers agrees with read()', async (t) => {
  const folder = t.testdir();
  const files = await Promise.all(
    [0, 1, 2].map((i) => {
      const path = join(folder, `layer${i}`);
      // Each begins somewhere in its file, as the member of a tar does.
      writeFileSync(path, randomBytes(i, 777 + LAYER_SECTORS * SECTOR));
      return openFile(path);
    }),
  );
  t.teardown(() => files.forEach(({ fd }) => closeFile(fd)));
  const layers = files.map(
    ({ spec }) => new FileSource({ ...spec, base: 777, size: LAYER_SECTORS * SECTOR }),
  );
  const next = seededRandom(11);
  const random = (below: number): number => (next() >>> 4) % below;
  const range: FileRange = { fd: -1, position: -1 };
  let located = 0;
  let across = 0;
  for (let round = 0; round < 60; round++) {
    const list: Row[] = [];
    let at = random(4);
    let layer = 0;
    let moffset = 0;
    while (at < DEVICE_SECTORS - 40) {
      const length = 1 + random(20);
      // Often adjacent to the last one, as long runs are; otherwise elsewhere, or zeroed.
      const kind = random(8);
      if (kind === 0) list.push([at, length, ZEROED, layer]);
      else {
        if (kind < 3 || moffset + length > LAYER_SECTORS) {
          layer = random(3);
          moffset = random(LAYER_SECTORS - length);
        }
        list.push([at, length, moffset, layer]);
        moffset += length;
      }
      at += length + (random(4) === 0 ? random(5) : 0);
    }
    const index = unjoinedIndexOf(list, DEVICE_SECTORS * SECTOR);
    const device = new LsmtDisk(index, layers);
    const cursor = { hint: 0 };
    for (let i = 0; i < 300; i++) {
      const offset = random(DEVICE_SECTORS * SECTOR - 1);
      const length = 1 + random(Math.min(DEVICE_SECTORS * SECTOR - offset, 40 * SECTOR));
      if (!device.locate(offset, length, range, cursor)) continue;
      located++;
      if (index.find(Math.floor(offset / SECTOR), 0) !== cursor.hint) across++;
      const there = Buffer.alloc(length);
      const read = Buffer.alloc(length);
      readSync(range.fd, there, 0, length, range.position);
      await readLoaded(device, offset, length, () =>
        device.read(offset, length, read, 0, { hint: 0 }),
      );
      if (!there.equals(read)) return void t.fail(`round ${round}: ${offset}+${length}`);
    }
  }
  t.ok(located > 1000, `${located} of 18000`);
  t.ok(across > 100, `${across} over more than one segment`);
});

await test('a raw disk is located in its file, up to its end', (t) => {
  const source = new FileSource({ kind: 'file', name: 'raw', fd: 7, base: 100, size: 5000 });
  const range: FileRange = { fd: -1, position: -1 };
  t.equal(new RawDisk(source).locate(4000, 1000, range), true);
  t.same(range, { fd: 7, position: 4100 });
  t.equal(source.locate(4000, 1001, range), false);
  t.end();
});
