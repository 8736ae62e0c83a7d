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

/** Needs one range. */
const need = (image: PagedImage, begin: number, end: number): Promise<void> =>
  image.using([[begin, end]], () => undefined);

await test('pages are read once, and those that follow each other together', async (t) => {
  const { bytes, ranges, source } = imageOf(40 * PAGE, 38 * 16 + 1);
  const image = await PagedImage.open(source);
  if (!image) throw new Error('no image');
  t.equal(image.length, 38 * PAGE + 4096);
  t.equal(image.bytes.length, image.length);
  t.equal(image.end, source.size);
  ranges.length = 0;
  await need(image, 3 * PAGE - 1, 3 * PAGE + 1);
  await need(image, 3 * PAGE - 1, 3 * PAGE + 1);
  t.same(ranges.splice(0), [[2 * PAGE, 2 * PAGE]]);
  await need(image, 0, 5 * PAGE);
  t.same(ranges.splice(0), [
    [0, 2 * PAGE],
    [4 * PAGE, PAGE],
  ]);
  await need(image, 5 * PAGE, 1e15);
  t.same(ranges.splice(0), [
    [5 * PAGE, 1 << 20],
    [21 * PAGE, 1 << 20],
    [37 * PAGE, PAGE + 4096],
  ]);
  await need(image, 1e14, 1e15);
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
  await t.rejects(need(image, 2 * PAGE, 2 * PAGE + 1), {
    code: 'SHORT_READ',
    message: /disk: ends at byte 131072, expected 196608 bytes/,
  });
  bytes[1024] = 0;
  t.equal(await PagedImage.open(source), null);
});

await test('pages are forgotten when they are too many, and read again', async (t) => {
  const { bytes, ranges, source } = imageOf(40 * PAGE, 40 * 16);
  const image = await PagedImage.open(source, 4 * PAGE);
  if (!image) throw new Error('no image');
  const at = (page: number): [number, number] => [page * PAGE + 5, page * PAGE + 69];
  const isRight = (...pages: number[]): Promise<boolean> =>
    image.using(pages.map(at), (all) =>
      pages.every((page) => all.subarray(...at(page)).equals(bytes.subarray(...at(page)))),
    );
  for (let page = 0; page < 40; page++) t.ok(await isRight(page), `page ${page}`);
  ranges.length = 0;
  // These four are the last ones.
  t.ok(await isRight(36, 37, 38, 39));
  t.same(ranges, []);
  // What is needed together is there together, whoever else waits, and also if it is more than is kept.
  const all = Array.from({ length: 40 }, (_, i) => i);
  const uses = [isRight(0, 9, 19), isRight(1, 11, 21, 31), isRight(...all), isRight(0, 39)];
  t.same(await Promise.all(uses), [true, true, true, true]);
  t.ok(image.bytes.subarray(...at(7)).equals(bytes.subarray(...at(7))));
  t.ok(await isRight(7));
});

await test('a page that cannot be read is neither kept nor counted', async (t) => {
  const { bytes, source } = imageOf(8 * PAGE, 8 * 16);
  let failures = 100;
  const read = (offset: number, length: number): Promise<Uint8Array> =>
    offset > 0 && failures-- > 0 ? Promise.reject(new Error('lost')) : source.read(offset, length);
  const image = await PagedImage.open({ ...source, read }, 4 * PAGE);
  if (!image) throw new Error('no image');
  await need(image, 0, 1);
  for (let i = 0; i < 100; i++) await t.rejects(need(image, 2 * PAGE, 3 * PAGE), /lost/);
  await need(image, 2 * PAGE, 3 * PAGE);
  t.ok(image.bytes.subarray(0, 64).equals(bytes.subarray(0, 64)), 'the first page is still there');
});

await test('what is needed at a time has a bound', async (t) => {
  const { bytes } = imageOf(PAGE, 2 ** 18);
  let total = 0;
  const read = (offset: number, length: number): Promise<Buffer> => {
    total += length;
    return Promise.resolve(offset === 0 ? bytes : Buffer.alloc(length));
  };
  const image = await PagedImage.open({ name: 'disk', size: 2 ** 30, read });
  if (!image) throw new Error('no image');
  await t.rejects(need(image, PAGE, 2 ** 30), {
    code: 'LIMIT',
    message: /^disk: metadata at byte 65536: \d+ bytes, at most 536870912/,
  });
  t.equal(total, PAGE, 'nothing is read before');
});
