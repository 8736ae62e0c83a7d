// The LSMT writer compared with bytes that the reference wrote, and read by the naive reader.
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import {
  encodeEntries,
  LSMT_PAGE,
  lsmtPage,
  PADDING_ENTRY,
  SECTOR,
} from '../../support/lsmt-layout.js';
import { writeLsmt, writeLsmtFile, writeLsmtRaw } from '../../support/lsmt-writer.js';
import { readLsmt } from '../../support/naive-reader.js';
import { randomBytes } from '../../support/pattern.js';

const NIL_HEX = Buffer.from('00000000-0000-0000-0000-000000000000\0', 'latin1').toString('hex');

const entry = (offset: number, length: number, moffset: number, zeroed = false, tag = 0) => ({
  offset,
  length,
  moffset,
  zeroed,
  tag,
});

await test('pages equal those of overlaybd-commit byte for byte', async (t) => {
  const magic = '4c534d5400010200657e63d29444084ca2d2c8ec4fcfae8a86010000';
  const header = lsmtPage({ flags: 7, virtualSize: 32 << 20 });
  const expected = `${magic}07000000${'00'.repeat(16)}0000000200000000${NIL_HEX}${NIL_HEX}00000101`;
  t.equal(header.toString('hex', 0, 134), expected);
  t.ok(header.subarray(134).equals(Buffer.alloc(LSMT_PAGE - 134)));
  const trailer = lsmtPage({
    flags: 6,
    indexOffset: 0xe1000,
    indexSize: 256,
    virtualSize: 32 << 20,
  });
  t.equal(
    trailer.toString('hex', 24, 56),
    '860100000600000000100e000000000000010000000000000000000200000000',
  );
});

await test('uuids and user tag are at their places', async (t) => {
  const uuid = '53CF3C85-AED1-4A96-9DAF-722B4772CFAB';
  const userTag = Buffer.alloc(256, 'x');
  const page = lsmtPage({ uuid, parentUuid: uuid.toLowerCase(), userTag });
  t.equal(page.toString('latin1', 56, 93), `${uuid}\0`);
  t.equal(page.toString('latin1', 93, 130), `${uuid.toLowerCase()}\0`);
  t.ok(page.subarray(134, 390).equals(userTag));
  t.throws(() => lsmtPage({ userTag: Buffer.alloc(257) }), {
    message: 'lsmt user tag: 257 bytes, limit 256',
  });
});

await test('entries have the bits of the format', async (t) => {
  const hex = (e: ReturnType<typeof entry>) => encodeEntries([e]).toString('hex');
  // The first two were written by the reference: an ordinary entry and a zeroed one.
  t.equal(hex(entry(0x1000, 128, 0x71, true)), '00100000000000027100000000008000');
  t.equal(hex(entry(8, 16, 8)), '08000000000040000800000000000000');
  t.equal(hex(PADDING_ENTRY), 'ffffffffffff03000000000000000000');
  t.equal(
    hex(entry(2 ** 50 - 2, 16383, 2 ** 55 - 4, true, 255)),
    'fefffffffffffffffcffffffffffffff',
  );
  t.throws(() => hex(entry(0, 16384, 8)), { message: /length 16384/ });
  t.throws(() => hex(entry(0, 1, 2 ** 55)), { message: /moffset/ });
  t.throws(() => hex(entry(-1, 1, 8)), { message: /offset -1/ });
});

await test('data is in order from sector 8; zeroed entries store its end', async (t) => {
  const first = randomBytes(1, 2 * SECTOR);
  const last = randomBytes(2, SECTOR);
  const file = writeLsmt({
    virtualSize: 1 << 20,
    padIndex: 'none',
    segments: [
      { offset: 3, length: 2, data: first },
      { offset: 9, length: 40, zeroed: true },
      { offset: 100, length: 1, data: last, tag: 7 },
    ],
  });
  t.same(readLsmt(file).entries, [
    entry(3, 2, 8),
    entry(9, 40, 10, true),
    entry(100, 1, 10, false, 7),
  ]);
  t.ok(file.subarray(4096, 4096 + 3 * SECTOR).equals(Buffer.concat([first, last])));
  t.equal(file.length, 4096 + 3 * SECTOR + 3 * 16 + 4096);
});

await test('a segment longer than an entry allows is split', async (t) => {
  const length = 2 * 16383 + 5;
  const data = randomBytes(3, length * SECTOR);
  const { entries } = readLsmt(
    writeLsmt({
      virtualSize: 1 << 30,
      padIndex: 'none',
      segments: [
        { offset: 10, length, data },
        { offset: 40000, length: 16384, zeroed: true },
      ],
    }),
  );
  t.same(entries, [
    entry(10, 16383, 8),
    entry(10 + 16383, 16383, 8 + 16383),
    entry(10 + 2 * 16383, 5, 8 + 2 * 16383),
    entry(40000, 16383, 8 + length, true),
    entry(40000 + 16383, 1, 8 + length, true),
  ]);
});

await test('padding: commit counts it, seal does not, none writes none', async (t) => {
  const segments = [{ offset: 0, length: 8, zeroed: true }];
  const file = (padIndex: 'commit' | 'seal' | 'none') =>
    writeLsmt({ virtualSize: 4096, segments, padIndex });
  const commit = file('commit');
  t.equal(commit.length, 3 * 4096);
  t.equal(readLsmt(commit).entries.length, 256);
  t.same(readLsmt(commit).entries[255], PADDING_ENTRY);
  t.equal(commit.readUInt32LE(28), 7);
  const seal = file('seal');
  t.equal(seal.length, 4096 + 512 + 4096);
  t.equal(readLsmt(seal).entries.length, 1);
  t.equal(seal.readUInt32LE(28), 3, 'header still unsealed');
  t.not(seal[4096 + 16], 0, 'stray bytes');
  t.equal(file('none').length, 4096 + 16 + 4096);
  const empty = writeLsmt({ virtualSize: 4096, segments: [] });
  t.equal(empty.length, 8192, 'an empty index needs no padding');
});

await test('overrides and patch are applied last', async (t) => {
  const file = writeLsmt({
    virtualSize: 4096,
    userTag: 'tag',
    segments: [{ offset: 0, length: 1, moffset: 1234 }],
    header: { virtualSize: 1 },
    trailer: { version: 9 },
    patch: (bytes) => void bytes.writeUInt8(0x2a, 4000),
  });
  t.equal(file.readUInt32LE(48), 1);
  t.equal(file[file.length - 4096 + 132], 9);
  t.equal(file.toString('latin1', file.length - 4096 + 134, file.length - 4096 + 138), 'tag\0');
  t.equal(file[4000], 0x2a);
  t.equal(readLsmt(file).entries[0]?.moffset, 1234);
});

function writeOneSector(data?: Buffer): Buffer {
  return writeLsmt({
    virtualSize: 4096,
    segments: [{ offset: 5, length: 1, ...(data && { data }) }],
  });
}

await test('segments without data or with wrong data are refused', async (t) => {
  t.throws(() => writeOneSector(), {
    message: 'lsmt segment at 5: neither data, nor zeroed, nor a moffset',
  });
  t.throws(() => writeOneSector(Buffer.alloc(511)), {
    message: 'lsmt segment at 5: 511 bytes of data, expected 512',
  });
});

await test('the raw form stores everything as given', async (t) => {
  const entries = [entry(7, 1, 3, false, 9), PADDING_ENTRY, entry(0, 0, 0)];
  const data = Buffer.from('not even a sector');
  const file = writeLsmtRaw({ virtualSize: 77, data, entries, trailer: { flags: 0 } });
  t.same(readLsmt(file).entries, entries);
  t.ok(file.subarray(4096, 4096 + data.length).equals(data));
  t.equal(file.readUInt32LE(file.length - 4096 + 28), 0);
  t.equal(readLsmt(file).virtualSize, 77);
});

await test('the file form writes what the memory form returns', async (t) => {
  const device = randomBytes(4, 3 << 20);
  const shape = [
    { offset: 1, length: 3000 },
    { offset: 3001, length: 5, zeroed: true },
    { offset: 4000, length: 10 },
  ];
  const options = { virtualSize: device.length, userTag: 'streamed' };
  const path = join(t.testdir(), 'layer.obd');
  const fd = openSync(path, 'w');
  const source = (offset: number, length: number) => device.subarray(offset, offset + length);
  const size = writeLsmtFile(fd, { ...options, segments: shape, source });
  closeSync(fd);
  const segments = shape.map((segment) => ({
    ...segment,
    ...(!segment.zeroed && { data: source(segment.offset * SECTOR, segment.length * SECTOR) }),
  }));
  const file = readFileSync(path);
  t.ok(file.equals(writeLsmt({ ...options, segments })));
  t.equal(size, file.length);
});
