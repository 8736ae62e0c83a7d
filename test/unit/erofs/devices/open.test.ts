// Images with further devices as a whole: what they need, and when they are a disk as they are.
import { test } from 'tap';
import { checkDeviceSize, hasDevices, openDevices } from '../../../../daemon/erofs/devices/open.js';
import { UNBOUNDED } from '../../../../daemon/lib/effort.js';
import { BLOCK, writeDevices, type DeviceFile } from '../../../support/erofs-devices-writer.js';
import { MemorySource } from '../../../support/memory-source.js';

const FILES: DeviceFile[] = [
  { path: '', mode: 0o040755 },
  { path: 'f', mode: 0o100644, size: 9, chunks: [[2, 0]] },
  { path: 's', mode: 0o140600 },
];
const DEVICES = [
  { tag: 'unused', blocks: 2, firstBlock: 3 },
  { tag: 'data', blocks: 3, firstBlock: 5 },
];
const { bytes } = writeDevices(FILES, DEVICES);

await test('devices that files need, and the rest of what it is', async (t) => {
  t.ok(hasDevices(bytes, 'image'));
  const opened = await openDevices(new MemorySource(bytes), bytes, UNBOUNDED, true);
  t.equal(opened?.tree.count, 2);
  t.same(opened?.sources, [
    { device: { number: 2, tag: 'data', bytes: 3 * BLOCK, count: 2 }, around: null },
  ]);
  t.equal(
    opened?.format,
    'EROFS with 2 further devices, by its superblock: blocks of 4096 bytes, chunked_file, device_table; Linux 5.16 and later mounts it as it is',
  );
  t.match(opened?.notes, [/1 socket left out/]);
});

await test('without the feature there are no further devices', (t) => {
  const plain = Buffer.from(bytes);
  plain.writeUInt32LE(plain.readUInt32LE(1024 + 80) & ~8, 1024 + 80);
  t.notOk(hasDevices(plain, 'image'));
  t.end();
});

await test('an image that is followed by its devices', async (t) => {
  const whole = Buffer.concat([bytes, Buffer.alloc(8 * BLOCK - bytes.length)]);
  t.equal(await openDevices(new MemorySource(whole), whole, UNBOUNDED, true), null);
  const opened = await openDevices(new MemorySource(whole), whole, UNBOUNDED, false);
  t.equal(opened?.sources.length, 1, 'they are somewhere else, too');
});

await test('a part that is missing', async (t) => {
  const cut = Buffer.from(bytes);
  cut.writeUInt32LE(3, 1024 + 36);
  await t.rejects(openDevices(new MemorySource(cut), cut, UNBOUNDED, true), {
    code: 'BAD_FORMAT',
    message: /an EROFS image of 3 blocks of 4096 bytes/,
  });
});

await test('the size of a device', (t) => {
  const device = { number: 1, tag: '', bytes: 8192, count: 1 };
  t.doesNotThrow(() => checkDeviceSize('device', 8192, device));
  t.doesNotThrow(() => checkDeviceSize('device', 8192 + (1 << 20), device));
  for (const size of [8191, 8193 + (1 << 20)]) {
    t.throws(() => checkDeviceSize('device', size, device), {
      code: 'BAD_FORMAT',
      message: `device: device 1 at byte 0: expected 8192 bytes, and at most 1048576 more, got ${size}`,
    });
  }
  t.end();
});
