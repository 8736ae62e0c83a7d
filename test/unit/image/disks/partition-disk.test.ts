// A partition of a disk: the disk's bytes, holes and places, shifted, and nothing outside the partition.
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { closeFile } from '../../../../daemon/blob/file-jobs.js';
import { FileSource } from '../../../../daemon/blob/file-source.js';
import { ReaderFactory } from '../../../../daemon/image/disks/reader-factory.js';
import { partitionOf, partitionTableOf } from '../../../../daemon/image/disks/disk-partitions.js';
import { PartitionDisk } from '../../../../daemon/image/disks/partition-disk.js';
import { openFile } from '../../../../daemon/blob/open-file.js';
import { RawDisk } from '../../../../daemon/image/disks/raw-disk.js';
import { EXTENT_DATA, EXTENT_HOLE, ExtentList } from '../../../../daemon/lib/extent-list.js';
import { randomBytes } from '../../../support/pattern.js';
import { writeGpt } from '../../../support/partition-writer.js';

const SIZE = 8 << 20;
const MIB = 1 << 20;

await test('a partition of a raw disk has its bytes, holes and places', async (t) => {
  const table = Buffer.alloc(SIZE);
  writeGpt(table, [null, { first: (2 * MIB) / 512, last: (4 * MIB) / 512 - 1 }]);
  const data = randomBytes(5, MIB);
  const path = join(t.testdir(), 'disk');
  const written = openSync(path, 'w+');
  ftruncateSync(written, SIZE);
  writeSync(written, table, 0, 64 << 10, 0);
  writeSync(written, data, 0, MIB, 2 * MIB);
  closeSync(written);
  const { fd, spec } = await openFile(path);
  t.teardown(() => closeFile(fd));
  const disk = new RawDisk(new FileSource(spec));

  t.match(await partitionTableOf(disk, 'a disk'), { kind: 'gpt', partitions: [{ number: 2 }] });
  const { offset, size } = await partitionOf(disk, 'a disk', 2);
  const device = new ReaderFactory().disk({
    kind: 'partition',
    disk: { kind: 'raw', source: spec },
    offset,
    size,
  });
  t.equal(device.size, 2 * MIB);
  t.equal(device.ensure(0, 10), null);
  await device.load(0, MIB);
  const bytes = Buffer.alloc(1000);
  t.equal(device.read(4321, 900, bytes, 10, { hint: 0 }), true);
  t.ok(bytes.subarray(10, 910).equals(data.subarray(4321, 5221)));
  const range = { fd: -1, position: -1 };
  t.equal(device.locate?.(7, 100, range, { hint: 0 }), true);
  t.same(range, { fd, position: 2 * MIB + 7 });
  const extents = new ExtentList(8);
  t.equal(
    device.extents(0, 2 * MIB, extents, { hint: 0 }, null),
    0,
    'no extents are known before askExtents()',
  );
  const runs = await device.askExtents(0, 2 * MIB);
  t.equal(device.extents(0, 2 * MIB, extents, { hint: 0 }, runs), 2 * MIB);
  t.same([...extents.lengths.subarray(0, extents.count)], [MIB, MIB]);
  t.same([...extents.kinds.subarray(0, extents.count)], [EXTENT_DATA, EXTENT_HOLE]);
});

await test('reads are announced to the disk of a partition, if it wants that', (t) => {
  const spec = { kind: 'file', name: 'disk', fd: 0, base: 0, size: 1000 } as const;
  const raw = new RawDisk(new FileSource(spec));
  t.equal(new PartitionDisk(raw, 100, 800).together, undefined);
  const announced: number[][] = [];
  const together = { round: 0, begin: () => true, end: () => undefined };
  const disk = Object.assign(raw, {
    together,
    announce: (...range: number[]) => void announced.push(range),
  });
  const part = new PartitionDisk(disk, 100, 800);
  t.equal(part.together, together);
  part.announce(7, 9);
  t.same(announced, [[107, 9]]);
  t.end();
});

await test('a partition outside its disk is a bug', (t) => {
  const spec = { kind: 'file', name: 'disk', fd: 0, base: 0, size: 1000 } as const;
  const disk = new RawDisk(new FileSource(spec));
  t.doesNotThrow(() => new PartitionDisk(disk, 0, 1000));
  t.throws(() => new PartitionDisk(disk, 1, 1000), RangeError);
  t.throws(() => new PartitionDisk(disk, -1, 10), RangeError);
  t.throws(() => new PartitionDisk(disk, 0, -1), RangeError);
  t.end();
});
