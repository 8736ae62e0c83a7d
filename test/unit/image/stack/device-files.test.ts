// The file of a device: named by its tag or its number, given itself, or found by its size or its UUID.
import { mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import {
  describeDevice,
  deviceAdvice,
  deviceFile,
} from '../../../../daemon/image/stack/device-files.js';
import { writeComposefs } from '../../../support/composefs-writer.js';

const DEVICE = { number: 1, tag: '', bytes: 2 << 20, count: 1 };

function fileOf(folder: string, name: string, size: number): string {
  const path = join(folder, name);
  writeFileSync(path, '');
  truncateSync(path, size);
  return path;
}

await test('a tag is the name of a file', async (t) => {
  const folder = t.testdir();
  const path = fileOf(folder, 'caf\u00e9', 1);
  // By its name alone: whether its size is right is another question.
  t.equal(await deviceFile(folder, { ...DEVICE, tag: 'caf\u00c3\u00a9' }, null), path);
  fileOf(folder, 'other', 2 << 20);
  t.equal(await deviceFile(folder, { ...DEVICE, tag: 'none' }, null), null);
  for (const tag of ['..', 'a/b']) {
    await t.rejects(deviceFile(folder, { ...DEVICE, tag }, null), {
      code: 'UNSUPPORTED',
      message: `the tag of device 1: "${tag}" is not the name of a file in the folder of --blobs`,
    });
  }
});

await test('without a tag: by number, or by size', async (t) => {
  const folder = t.testdir();
  const image = fileOf(folder, 'image', 2 << 20);
  t.equal(await deviceFile(folder, DEVICE, image), null, 'the image is not its own device');
  mkdirSync(join(folder, 'sub'));
  fileOf(folder, 'short', (2 << 20) - 1);
  const fitting = fileOf(folder, 'fitting', (2 << 20) + 10_240);
  t.equal(await deviceFile(folder, DEVICE, image), fitting);
  fileOf(folder, 'fitting, too', 2 << 20);
  await t.rejects(deviceFile(folder, DEVICE, image), {
    code: 'BAD_ARGUMENT',
    message:
      /2 files may be device 1 of 1, without a tag, 2097152 bytes: name its file, or the folder/,
  });
  const named = fileOf(folder, '1', 0);
  t.equal(await deviceFile(folder, DEVICE, image), named);
});

await test('a tag that is the UUID of an image that was merged with others', async (t) => {
  const folder = t.testdir();
  const device = { number: 2, tag: '000102030405060708090a0b0c0d0e0f', bytes: 8192, count: 3 };
  const write = (name: string, uuid: string, size = 8192): string => {
    const { bytes } = writeComposefs([{ path: '', mode: 0o040755 }]);
    bytes.write(uuid, 1024 + 48, 'hex');
    const path = join(folder, name);
    writeFileSync(path, bytes);
    truncateSync(path, size);
    return path;
  };
  write('other', '000102030405060708090a0b0c0d0eff');
  write('short', device.tag, 8191);
  fileOf(folder, 'no image', 8192);
  t.equal(await deviceFile(folder, device, null), null);
  const layer = write('layer.erofs', device.tag);
  t.equal(await deviceFile(folder, device, null), layer);
  t.equal(await deviceFile(folder, { ...device, tag: 'layer' }, null), null);
  write('copy', device.tag);
  await t.rejects(deviceFile(folder, device, null), {
    code: 'BAD_ARGUMENT',
    message: /2 files may be device 2 of 3, "000102030405060708090a0b0c0d0e0f", 8192 bytes: name/,
  });
  const named = fileOf(folder, device.tag, 0);
  t.equal(await deviceFile(folder, device, null), named);
});

await test('a file that cannot be read matters only if no other one fits', async (t) => {
  const folder = t.testdir();
  symlinkSync('loop', join(folder, 'loop'));
  const unreadable = { code: 'IO', message: /loop: ELOOP/, facts: { path: join(folder, 'loop') } };
  await t.rejects(deviceFile(folder, DEVICE, null), unreadable);
  const fitting = fileOf(folder, 'fitting', DEVICE.bytes);
  t.equal(await deviceFile(folder, DEVICE, null), fitting);
  rmSync(join(folder, 'loop'));
  rmSync(fitting);

  // Its size is right, and it has no bytes: the memory of a process that has none at 0.
  const tag = '000102030405060708090a0b0c0d0e0f';
  symlinkSync('/proc/self/mem', join(folder, 'a'));
  const device = { number: 1, tag, bytes: 0, count: 1 };
  await t.rejects(deviceFile(folder, device, null), {
    code: 'IO',
    facts: { path: join(folder, 'a') },
  });
  const { bytes } = writeComposefs([{ path: '', mode: 0o040755 }]);
  bytes.write(tag, 1024 + 48, 'hex');
  writeFileSync(join(folder, 'b'), bytes);
  t.equal(await deviceFile(folder, device, null), join(folder, 'b'));
});

await test('a file is the only device', async (t) => {
  const path = fileOf(t.testdir(), 'device', 1);
  t.equal(await deviceFile(path, DEVICE, null), path);
  t.equal(await deviceFile(`${path}-none`, DEVICE, null), null);
  t.equal(await deviceFile(`${path}/below`, DEVICE, null), null);
  await t.rejects(deviceFile(path, { ...DEVICE, count: 2 }, null), {
    code: 'BAD_ARGUMENT',
    message:
      /one file, and the image has 2 further devices: name a folder that has them with --blobs/,
  });
});

await test('what people read', (t) => {
  const tagged = { ...DEVICE, tag: 'a\u001b', count: 2 };
  t.equal(describeDevice(tagged), String.raw`device 1 of 2, "a\u{1b}", 2097152 bytes`);
  t.equal(deviceAdvice(tagged), String.raw`name the folder that has it as "a\u{1b}" with --blobs`);
  t.equal(deviceAdvice(DEVICE), 'name its file, or the folder that has it as "1" with --blobs');
  t.end();
});
