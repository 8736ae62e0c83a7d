// Stacks with turboOCI layers: bytes of layers and of their targets, and targets that do not fit.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { test, type Test } from 'tap';
import { paxRecord, writeArchive } from '../../../support/archive-writer.js';
import { gzipIndexOf, writeGzipIndex } from '../../../support/gzip-index-writer.js';
import { openDevice, readRange, withDevice } from '../../../support/in-process.js';
import { writeLsmt, type LsmtSegment } from '../../../support/lsmt-writer.js';
import { randomBytes, textBytes } from '../../../support/pattern.js';
import { writeUstar } from '../../../support/ustar.js';
import { writeZfile } from '../../../support/zfile-writer.js';

const SECTOR = 512;
const SIZE = 1024 * SECTOR;
const tar = writeArchive([
  { name: 'a', content: textBytes(1, 100_000) },
  { name: 'b', content: randomBytes(2, 40_000) },
]);
const gzip = gzipSync(tar, { memLevel: 5 });
const base = randomBytes(3, SIZE);

function layer(segments: readonly LsmtSegment[]): Buffer {
  return writeLsmt({ virtualSize: SIZE, segments, padIndex: 'none' });
}

/** Its own data at sector 0, and at 4 three ranges of the target. */
const own = randomBytes(4, 2 * SECTOR);
const turbo = layer([
  { offset: 0, length: 2, data: own, tag: 0 },
  { offset: 4, length: 1, moffset: 1, tag: 1 },
  { offset: 5, length: 100, moffset: 40, tag: 1 },
  { offset: 200, length: 3, zeroed: true },
]);

/** What is expected of it over `below`. */
function over(below: Buffer, target: Buffer): Buffer {
  const bytes = Buffer.from(below);
  own.copy(bytes);
  target.copy(bytes, 4 * SECTOR, SECTOR, 2 * SECTOR);
  target.copy(bytes, 5 * SECTOR, 40 * SECTOR, 140 * SECTOR);
  bytes.fill(0, 200 * SECTOR, 203 * SECTOR);
  return bytes;
}

async function folder(t: Test, lowers: readonly object[], more: Record<string, Buffer> = {}) {
  const path = t.testdir();
  const files = {
    base: layer([{ offset: 0, length: SIZE / SECTOR, data: base }]),
    'ext4.fs.meta': turbo,
    zfile: writeZfile(turbo),
    'layer.tar': tar,
    'layer.tar.gz': gzip,
    'gzip.meta': writeGzipIndex(await gzipIndexOf(gzip, 30_000)),
    ...more,
  };
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(path, name), bytes);
  const config = join(path, 'config.v1.json');
  writeFileSync(config, JSON.stringify({ lowers }));
  return config;
}

async function bytesOf(config: string): Promise<Buffer> {
  return withDevice([config], ({ device }) => readRange(device, 0, device.size));
}

const plain = { file: 'ext4.fs.meta', targetFile: 'layer.tar' };
const gzipped = { file: 'zfile', targetFile: 'layer.tar.gz', gzipIndex: 'gzip.meta' };

await test('a native base, and layers with targets of both kinds', async (t) => {
  const nothing = Buffer.alloc(SIZE);
  for (const [lowers, expected] of [
    [[plain], over(nothing, tar)],
    [[gzipped], over(nothing, tar)],
    [[{ file: 'base' }, gzipped], over(base, tar)],
    [[{ file: 'base' }, plain, gzipped, { file: 'top' }], null],
  ] as const) {
    const top = layer([{ offset: 6, length: 1, data: own.subarray(0, SECTOR) }]);
    const got = await bytesOf(await folder(t, lowers, { top }));
    const wanted = expected ?? over(base, tar);
    if (!expected) own.copy(wanted, 6 * SECTOR, 0, SECTOR);
    t.ok(got.equals(wanted), JSON.stringify(lowers));
  }
});

await test('several targets, each for its layer', async (t) => {
  const other = writeArchive([{ name: 'other', content: randomBytes(9, 140_000) }]);
  const second = layer([{ offset: 300, length: 50, moffset: 1, tag: 1 }]);
  const lowers = [gzipped, { file: 'second', targetFile: 'other.tar' }];
  const got = await bytesOf(await folder(t, lowers, { 'other.tar': other, second }));
  const wanted = over(Buffer.alloc(SIZE), tar);
  other.copy(wanted, 300 * SECTOR, SECTOR, 51 * SECTOR);
  t.ok(got.equals(wanted));
});

await test('an image with another target is not the same', async (t) => {
  const marks = new Set<string>();
  const mark = async (lower: object, more: Record<string, Buffer> = {}): Promise<void> => {
    const opened = await openDevice(await folder(t, [lower], more));
    marks.add(opened.image.marks.fingerprint);
    opened.close();
  };
  await mark(plain);
  await mark(plain, { 'layer.tar': Buffer.concat([tar, Buffer.alloc(SECTOR)]) });
  await mark({ ...gzipped, file: 'ext4.fs.meta' });
  t.equal(marks.size, 3);
});

await test('what is refused', async (t) => {
  const refused = async (
    lower: object,
    code: string,
    message: RegExp,
    more: Record<string, Buffer> = {},
  ): Promise<void> => {
    await t.rejects(bytesOf(await folder(t, [lower], more)), { code, message });
  };
  const { gzipIndex, ...noIndex } = gzipped;
  await refused(noIndex, 'UNSUPPORTED', /layer\.tar\.gz: the target .*: in gzip, and there is no/);
  await refused({ ...plain, gzipIndex }, 'BAD_FORMAT', /layer\.tar: .* not in gzip, and it has/);
  await refused({ ...plain, targetFile: 'base' }, 'UNSUPPORTED', /base: .* neither an archive/);
  await refused({ ...plain, targetFile: 'absent' }, 'NOT_FOUND', /absent/);
  await refused({ ...plain, file: 'layer.tar' }, 'BAD_FORMAT', /layer\.tar: .* not an LSMT layer/);
  const past = layer([{ offset: 0, length: 1, moffset: tar.length / SECTOR, tag: 1 }]);
  await refused(
    plain,
    'BAD_FORMAT',
    /ext4\.fs\.meta: lsmt index entry 0 moffset .* target, which/,
    {
      'ext4.fs.meta': past,
    },
  );
  await refused(gzipped, 'BAD_FORMAT', /gzip\.meta: gzip index size of the gzip blob/, {
    'layer.tar.gz': Buffer.concat([gzip, Buffer.alloc(1)]),
  });
});

await test('an archive that ends with the last byte of its last file', async (t) => {
  const [before, last] = [textBytes(5, 3000), randomBytes(6, 1000)];
  const whole = writeUstar([
    { name: 'a', bytes: before },
    { name: 'b', bytes: last },
  ]);
  const begin = whole.indexOf(last);
  const short = whole.subarray(0, begin + last.length);
  const at = begin / SECTOR;
  // The file system has scattered its blocks.
  const index = layer([
    { offset: 4, length: 1, moffset: at + 1, tag: 1 },
    { offset: 8, length: 1, moffset: at, tag: 1 },
    { offset: 10, length: 6, moffset: 1, tag: 1 },
  ]);
  const files = (target: Buffer) => ({ 'ext4.fs.meta': index, 'layer.tar': target });
  const got = await bytesOf(await folder(t, [plain], files(short)));
  t.ok(
    got
      .subarray(4 * SECTOR, 5 * SECTOR)
      .equals(whole.subarray((at + 1) * SECTOR).subarray(0, SECTOR)),
  );
  t.ok(got.subarray(8 * SECTOR, 9 * SECTOR).equals(last.subarray(0, SECTOR)));
  const cut = await folder(t, [plain], files(short.subarray(0, -1)));
  await t.rejects(bytesOf(cut), {
    code: 'BAD_FORMAT',
    message: /layer\.tar: the target .* expected the header of a file that ends with the archive/,
  });
  const inside = layer([{ offset: 4, length: 1, moffset: at + 1, tag: 1 }]);
  const noHeader = await folder(t, [plain], { ...files(short), 'ext4.fs.meta': inside });
  const end = (await bytesOf(noHeader)).subarray(4 * SECTOR, 5 * SECTOR);
  t.ok(end.equals(whole.subarray((at + 1) * SECTOR, (at + 2) * SECTOR)), 'a hole is not mapped');
  const none = layer([{ offset: 4, length: 1, data: own.subarray(0, SECTOR), tag: 0 }]);
  const empty = { 'ext4.fs.meta': none, 'layer.tar': Buffer.alloc(0) };
  const fromEmpty = await bytesOf(await folder(t, [plain], empty));
  t.ok(fromEmpty.subarray(4 * SECTOR, 5 * SECTOR).equals(own.subarray(0, SECTOR)), 'without bytes');
});

await test('the size of the last file is in an extended header', async (t) => {
  const bytes = randomBytes(7, 1000);
  const ofSize = (size: number, more: string): Buffer =>
    writeArchive([
      { name: 'a', content: textBytes(8, 3000) },
      { name: 'pax', type: 'x', content: paxRecord('size', `${size}`) + more },
      // As of a file whose size does not fit the field.
      { name: 'b', content: bytes, size: 0 },
    ]);
  const opened = async (size: number, more = ''): Promise<Buffer> => {
    const whole = ofSize(size, more);
    const begin = whole.indexOf(bytes);
    const index = layer([{ offset: 4, length: 2, moffset: begin / SECTOR, tag: 1 }]);
    const target = whole.subarray(0, begin + bytes.length);
    return bytesOf(await folder(t, [plain], { 'ext4.fs.meta': index, 'layer.tar': target }));
  };
  // Records of several blocks, in one of which something looks like a header.
  const fake = writeArchive([{ name: 'fake', content: '' }]).toString('latin1', 0, 512);
  for (const more of ['', paxRecord('comment', 'x'.repeat(3000)), paxRecord('comment', fake)]) {
    const got = await opened(bytes.length, more);
    t.ok(got.subarray(4 * SECTOR, 4 * SECTOR + bytes.length).equals(bytes));
  }
  await t.rejects(opened(bytes.length + 1), {
    code: 'BAD_FORMAT',
    message: /expected the header of a file that ends with the archive/,
  });
});

await test('a damaged target is EIO, and the rest can be read', async (t) => {
  const damaged = Buffer.from(gzip);
  // The second file cannot be compressed.
  const middle = Math.floor((gzip.length - 40_000) / 2);
  damaged.fill(0, middle, middle + 3000);
  const config = await folder(t, [{ file: 'base' }, gzipped], { 'layer.tar.gz': damaged });
  await withDevice([config], async ({ device }) => {
    const first = await readRange(device, 0, 5 * SECTOR);
    t.ok(first.equals(over(base, tar).subarray(0, 5 * SECTOR)));
    await t.rejects(
      (async () => {
        for (let at = 5; at < 105; at++) await readRange(device, at * SECTOR, SECTOR);
      })(),
      { code: /^BAD_(DATA|CHECKSUM)$/ },
    );
  });
});
