// An EROFS image of which only the pages are read that are needed.
import { test } from 'tap';
import { PagedImage, type PagedBytes } from '../../../../daemon/erofs/reader/paged-image.js';
import { randomBytes } from '../../../support/pattern.js';

const PAGE = 64 * 1024;

/** Bytes that begin as an image of so many blocks, and the ranges that are read of them. */
function imageOf(
  size: number,
  blocks: number,
): { bytes: Buffer; ranges: number[][]; source: PagedBytes } {
  const bytes = randomBytes(1, size);
  bytes.fill(0, 1024, 1152);
  bytes.writeUInt32LE(0xe0f5e1e2, 1024);
  bytes[1024 + 12] = 12;
  bytes.writeUInt32LE(blocks, 1024 + 36);
  const ranges: number[][] = [];
  const read = (offset: number, length: number): Promise<Buffer> => {
    ranges.push([offset, length]);
    return Promise.resolve(bytes.subarray(offset, offset + length));
  };
  return { bytes, ranges, source: { name: 'disk', size, read } };
}

await test('pages are read once, and those that follow each other together', async (t) => {
  const { bytes, ranges, source } = imageOf(40 * PAGE, 38 * 16 + 1);
  const image = await PagedImage.open(source);
  if (!image) throw new Error('no image');
  t.equal(image.bytes.length, 38 * PAGE + 4096);
  t.equal(image.end, source.size);
  ranges.length = 0;
  await image.need(3 * PAGE - 1, 3 * PAGE + 1);
  await image.need(3 * PAGE - 1, 3 * PAGE + 1);
  t.same(ranges.splice(0), [[2 * PAGE, 2 * PAGE]]);
  await image.need(0, 5 * PAGE);
  t.same(ranges.splice(0), [
    [0, 2 * PAGE],
    [4 * PAGE, PAGE],
  ]);
  await image.need(5 * PAGE, 1e15);
  t.same(ranges.splice(0), [
    [5 * PAGE, 1 << 20],
    [21 * PAGE, 1 << 20],
    [37 * PAGE, PAGE + 4096],
  ]);
  await image.need(1e14, 1e15);
  t.same(ranges, []);
  t.ok(image.bytes.equals(bytes.subarray(0, image.bytes.length)));
});

await test('what is no image, is too large, or ends early', async (t) => {
  const { bytes, source } = imageOf(PAGE, 0xffff_ffff);
  t.equal((await PagedImage.open(source))?.bytes.length, PAGE, 'never longer than the disk');
  t.equal(await PagedImage.open({ ...source, size: 2 ** 40 }), null);
  t.equal(await PagedImage.open({ ...source, size: 1000 }), null);
  const image = await PagedImage.open({ ...source, size: 3 * PAGE });
  if (!image) throw new Error('no image');
  await t.rejects(image.need(2 * PAGE, 2 * PAGE + 1), {
    code: 'SHORT_READ',
    message: /disk: ends at byte 131072, expected 196608 bytes/,
  });
  bytes[1024] = 0;
  t.equal(await PagedImage.open(source), null);
});

await test('what is in memory has a bound', async (t) => {
  const { bytes } = imageOf(PAGE, 2 ** 18);
  const zeros = Buffer.alloc(1 << 20);
  let total = 0;
  const read = (offset: number, length: number): Promise<Buffer> => {
    total += length;
    return Promise.resolve(offset === 0 ? bytes : zeros.subarray(0, length));
  };
  const image = await PagedImage.open({ name: 'disk', size: 2 ** 30, read });
  if (!image) throw new Error('no image');
  await t.rejects(image.need(PAGE, 2 ** 30), {
    code: 'LIMIT',
    message: /^disk: metadata at byte \d+: \d+ bytes, at most 536870912/,
  });
  t.ok(total <= (512 << 20) + PAGE, `${total} bytes`);
});
