// Opening whole images: the size rule, layer limits, raw disks, and closing. Random stacks are in test/property.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { fallsTo, openDescriptors } from '../../../support/descriptors.js';
import { readRange, withDevice } from '../../../support/in-process.js';
import { lsmtPage, SECTOR } from '../../../support/lsmt-layout.js';
import { writeLsmt, type LsmtSegment } from '../../../support/lsmt-writer.js';
import { randomBytes, textBytes } from '../../../support/pattern.js';
import { wrapTar } from '../../../support/tar-writer.js';
import { writeZfile } from '../../../support/zfile-writer.js';

const MIB = 1 << 20;
const layer = (virtualSize: number, segments: readonly LsmtSegment[] = []): Buffer =>
  writeLsmt({ virtualSize, segments, padIndex: 'none' });

function filesOf(t: Test, ...contents: readonly Buffer[]): string[] {
  const folder = t.testdir();
  return contents.map((bytes, i) => {
    const path = join(folder, `file${i}`);
    writeFileSync(path, bytes);
    return path;
  });
}

const sizeOf = (paths: readonly string[]): Promise<number> =>
  withDevice(paths, async ({ image, device }) => {
    if (image.size !== device.size) throw new Error('image and device differ in size');
    return device.size;
  });

await test('the topmost layer with a virtual size decides, larger or smaller', async (t) => {
  const cases: [number[], number][] = [
    [[MIB], MIB],
    [[MIB, 2 * MIB], 2 * MIB],
    [[2 * MIB, MIB], MIB],
    [[MIB, 2 * MIB, 0, 0], 2 * MIB],
    [[0, 0, 512], 512],
    [[MIB, 513], 513],
    [[0, Number.MAX_SAFE_INTEGER, 0], Number.MAX_SAFE_INTEGER],
  ];
  for (const [sizes, expected] of cases) {
    t.equal(await sizeOf(filesOf(t, ...sizes.map((size) => layer(size)))), expected, sizes.join());
  }
});

await test('a stack in which no layer has a virtual size is refused', async (t) => {
  for (const count of [1, 3]) {
    const paths = filesOf(t, ...Array.from({ length: count }, () => layer(0)));
    await t.rejects(sizeOf(paths), {
      code: 'BAD_FORMAT',
      message: /file0.*: no layer gives a virtual size$/,
    });
  }
});

await test('a larger lower is cut, a smaller one ends in a hole', async (t) => {
  const data = randomBytes(1, 8 * SECTOR);
  const large = layer(8 * SECTOR, [{ offset: 0, length: 8, data }]);
  await withDevice(filesOf(t, large, layer(3 * SECTOR + 100)), async ({ device }) => {
    t.ok((await readRange(device, 0, device.size)).equals(data.subarray(0, 3 * SECTOR + 100)));
  });
  await withDevice(filesOf(t, large, layer(20 * SECTOR)), async ({ device }) => {
    const expected = Buffer.concat([data, Buffer.alloc(12 * SECTOR)]);
    t.ok((await readRange(device, 0, device.size)).equals(expected));
  });
});

await test('255 layers, each with a sector of its own', async (t) => {
  const count = 255;
  const contents = Array.from({ length: count }, (_, i) =>
    layer(count * SECTOR, [
      { offset: i, length: count - i, data: Buffer.alloc((count - i) * SECTOR, i) },
    ]),
  );
  const before = openDescriptors();
  await withDevice(filesOf(t, ...contents), async ({ device, index, image }) => {
    const bytes = await readRange(device, 0, device.size);
    for (let i = 0; i < count; i++) {
      if (bytes[i * SECTOR] !== i || bytes[i * SECTOR + 511] !== i) t.fail(`sector ${i}`);
    }
    t.equal(index?.layerOf(254), 254);
    t.equal(image.description, '255 layers, 255 segments');
  });
  t.ok(await fallsTo(before), 'every file is closed again');
});

await test('a segment across sector 2^32 is read on both sides', async (t) => {
  const data = randomBytes(2, 64 * SECTOR);
  const offset = 2 ** 32 - 30;
  const bottom = layer(2 ** 42, [
    { offset: offset - 10, length: 84, data: Buffer.alloc(84 * SECTOR, 7) },
  ]);
  const top = layer(2 ** 42, [{ offset, length: 64, data }]);
  await withDevice(filesOf(t, bottom, top), async ({ device }) => {
    const from = (offset - 12) * SECTOR;
    const expected = Buffer.concat([
      Buffer.alloc(2 * SECTOR),
      Buffer.alloc(10 * SECTOR, 7),
      data,
      Buffer.alloc(10 * SECTOR, 7),
      Buffer.alloc(2 * SECTOR),
    ]);
    t.ok((await readRange(device, from, 88 * SECTOR)).equals(expected));
    t.ok(
      (await readRange(device, 2 ** 41 - 3, 7)).equals(
        data.subarray(30 * SECTOR - 3, 30 * SECTOR + 4),
      ),
    );
    t.ok((await readRange(device, 2 ** 42 - 5, 5)).equals(Buffer.alloc(5)));
  });
});

await test('a single file that is not a layer is a raw disk, wrapped or not', async (t) => {
  const raw = textBytes(1, 70_001);
  const kinds = [
    raw,
    writeZfile(raw, { blockSize: 65_536 }),
    wrapTar(raw, { pax: true }),
    wrapTar(writeZfile(raw), { pax: false }),
  ];
  for (const [i, bytes] of kinds.entries()) {
    await withDevice(filesOf(t, bytes), async ({ device, image, index }) => {
      t.ok((await readRange(device, 0, device.size)).equals(raw));
      t.ok((await readRange(device, 4095, 9001)).equals(raw.subarray(4095, 4095 + 9001)));
      t.equal(index, null);
      t.equal(image.description, i % 2 === 0 ? 'raw disk image' : 'raw disk image in a ZFile');
    });
  }
});

await test('a file that is not a layer is an error in a stack', async (t) => {
  const expected = {
    code: 'BAD_FORMAT',
    message:
      /\/file1: neither an LSMT layer nor an archive of files: no such header: it begins with the bytes [0-9a-f]{16}/,
  };
  await t.rejects(sizeOf(filesOf(t, layer(MIB), textBytes(1, 10_000))), expected);
  await t.rejects(sizeOf(filesOf(t, layer(MIB), writeZfile(textBytes(1, 10_000)))), {
    code: 'BAD_FORMAT',
    message: /\/file1 \(zfile\): neither an LSMT layer/,
  });
  await t.rejects(sizeOf(filesOf(t, layer(MIB), Buffer.alloc(0))), {
    message: /\/file1: neither an LSMT layer/,
  });
});

await test('an empty file is not a disk', async (t) => {
  for (const bytes of [
    Buffer.alloc(0),
    writeZfile(Buffer.alloc(0)),
    wrapTar(Buffer.alloc(0), { pax: false }),
  ]) {
    await t.rejects(sizeOf(filesOf(t, bytes)), {
      code: 'BAD_FORMAT',
      message: /\/file0.*: empty$/,
    });
  }
});

await test('a header without a trailer is a broken layer, not a raw disk', async (t) => {
  const bytes = Buffer.concat([lsmtPage({ flags: 7, virtualSize: MIB }), Buffer.alloc(20_000)]);
  await t.rejects(sizeOf(filesOf(t, bytes)), { code: 'BAD_FORMAT', message: /lsmt trailer magic/ });
});

await test('errors name the wrappers of a blob', async (t) => {
  const broken = layer(MIB, [{ offset: 0, length: 4, data: randomBytes(1, 4 * SECTOR) }]);
  broken.writeUInt32LE(0, broken.length - 4096 + 28);
  const wrapped = wrapTar(writeZfile(broken), { pax: true });
  await t.rejects(sizeOf(filesOf(t, wrapped)), {
    message: /\/file0 \(in tar\) \(zfile\): lsmt trailer flags/,
  });
});

await test('after any failure no file stays open', async (t) => {
  const before = openDescriptors();
  const good = layer(MIB);
  await t.rejects(sizeOf([...filesOf(t, good, good), '/proc/nonexistent/layer']), {
    code: 'NOT_FOUND',
  });
  await t.rejects(sizeOf(filesOf(t, good, good.subarray(0, -1))), { code: 'BAD_FORMAT' });
  await t.rejects(sizeOf(filesOf(t, good, writeZfile(good, { header: { digest: 1 } }))), {
    code: 'BAD_CHECKSUM',
  });
  t.ok(await fallsTo(before), 'every file is closed again');
});

await test('a layer that lost its end is an error when it is read, not zeros', async (t) => {
  const data = randomBytes(3, 16 * SECTOR);
  const paths = filesOf(t, layer(MIB, [{ offset: 0, length: 16, data }]));
  await withDevice(paths, async ({ device }) => {
    writeFileSync(
      paths[0] as string,
      layer(MIB, [{ offset: 0, length: 16, data }]).subarray(0, 4096 + 8 * SECTOR),
    );
    t.ok((await readRange(device, 0, 8 * SECTOR)).equals(data.subarray(0, 8 * SECTOR)));
    await t.rejects(readRange(device, 0, 8 * SECTOR + 1), {
      code: 'SHORT_READ',
      message: /\/file0: read of/,
    });
    t.ok(
      (await readRange(device, 16 * SECTOR, 100)).equals(Buffer.alloc(100)),
      'holes need no file',
    );
  });
});
