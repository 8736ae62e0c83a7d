// The ZFile writer compared with header bytes that the reference wrote, and read by the naive reader.
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { rawCrc32c } from '../../support/crc32c.js';
import { decodeZfile, zfileBlocks } from '../../support/naive-reader.js';
import { randomBytes, textBytes } from '../../support/pattern.js';
import { zfilePage } from '../../support/zfile-layout.js';
import { writeZfile, writeZfileTo } from '../../support/zfile-writer.js';

const RAW = Buffer.concat([textBytes(1, 30_000), Buffer.alloc(20_000), randomBytes(2, 20_123)]);

// Headers and trailers of files that overlaybd-commit -z (LZ4, with CRCs) and the reference's API (zstd, trailer mode,
// without CRCs) wrote. Everything after byte 96 is zero.
const FROM_REFERENCE = {
  lz4Header:
    '5a46696c6500010074756a692e79796640416c696261626160000000264362e51b000000000000009bb0010000000000' +
    'e30000000000000000300e000000000012da6c7c00000000001000000100000000000000000000000100000000000000',
  lz4Trailer:
    '5a46696c6500010074756a692e79796640416c6962616261600000000296a21516000000000000009bb0010000000000' +
    'e30000000000000000300e000000000012da6c7c00000000001000000100000000000000000000000100000000000000',
  zstdHeader:
    '5a46696c6500010074756a692e79796640416c6962616261600000002834b56413000000000000000000000000000000' +
    '000000000000000000000000000000000000000000000000001000000200000000000000000000000000000000000000',
};

const hex = (page: Buffer) => page.toString('hex', 0, 96);

const LZ4_FIELDS = {
  indexOffset: 0x1b09b,
  indexSize: 0xe3,
  originalSize: 0xe3000,
  indexCrc: 0x7c6cda12,
  blockSize: 4096,
  algo: 1,
  verify: 1,
};

await test('pages equal those of the reference byte for byte, with the digest', async (t) => {
  t.equal(hex(zfilePage({ ...LZ4_FIELDS, flags: 0b11011 })), FROM_REFERENCE.lz4Header);
  t.equal(hex(zfilePage({ ...LZ4_FIELDS, flags: 0b10110 })), FROM_REFERENCE.lz4Trailer);
  t.equal(hex(zfilePage({ blockSize: 4096, algo: 2, flags: 0b10011 })), FROM_REFERENCE.zstdHeader);
  t.equal(zfilePage({}).length, 512);
});

await test('a digest can be left out or given', async (t) => {
  t.equal(zfilePage({ flags: 0b01011 }).readUInt32LE(28), 0);
  t.equal(zfilePage({ flags: 0b11011, digest: 5 }).readUInt32LE(28), 5);
});

for (const mode of ['header', 'trailer'] as const) {
  for (const algorithm of ['lz4', 'zstd'] as const) {
    for (const verify of [true, false]) {
      await test(`${algorithm}, ${mode} mode, verify ${verify}: can be read back`, async (t) => {
        for (const blockSize of [512, 4096, 65536]) {
          const file = writeZfile(RAW, { algorithm, mode, verify, blockSize });
          t.ok(decodeZfile(file).equals(RAW), `block size ${blockSize}`);
          t.equal(zfileBlocks(file).length, Math.ceil(RAW.length / blockSize));
        }
      });
    }
  }
}

await test('flags and fields are those of each mode', async (t) => {
  const header = writeZfile(RAW, { mode: 'header' });
  t.equal(header.readUInt32LE(32), 0b11011);
  t.equal(header.readUInt32LE(header.length - 512 + 32), 0b10110);
  t.ok(
    header.subarray(36, 512).equals(header.subarray(header.length - 512 + 36)),
    'the other bytes are equal',
  );
  const trailer = writeZfile(RAW, { mode: 'trailer' });
  t.equal(trailer.readUInt32LE(32), 0b10011);
  t.ok(trailer.subarray(40, 72).equals(Buffer.alloc(32)), 'the header has no index fields');
  t.ok(trailer.subarray(512).equals(header.subarray(512)), 'modes differ in the header only');
  const plain = writeZfile(RAW, { digest: false });
  t.equal(plain.readUInt32LE(32), 0b01011);
  t.equal(plain.readUInt32LE(28), 0);
  t.equal(plain.readUInt32LE(plain.length - 512 + 32), 0b00110);
});

await test('blocks, index and trailer follow each other without gaps', async (t) => {
  const blocks = [Buffer.from('first'), Buffer.from('the second'), Buffer.from('3')];
  const raw = Buffer.alloc(4096 * 2 + 1);
  const file = writeZfile(raw, { encode: (_, index) => blocks[index] ?? Buffer.alloc(0) });
  let at = 512;
  for (const block of blocks) {
    t.ok(file.subarray(at, at + block.length).equals(block));
    t.equal(file.readUInt32LE(at + block.length), rawCrc32c(block, 100007));
    at += block.length + 4;
  }
  t.equal(Number(file.readBigUInt64LE(40)), at, 'index offset');
  t.equal(Number(file.readBigUInt64LE(48)), 3, 'index entries');
  t.equal(Number(file.readBigUInt64LE(56)), raw.length, 'original size');
  const index = file.subarray(at, at + 12);
  t.same(
    [0, 4, 8].map((entry) => index.readUInt32LE(entry)),
    [9, 14, 5],
  );
  t.equal(file.readUInt32LE(64), rawCrc32c(index), 'index checksum');
  t.equal(file.length, at + 12 + 512);
});

await test('the last block has only the remaining bytes', async (t) => {
  const sizes: number[] = [];
  writeZfile(Buffer.alloc(10_000), {
    encode: (raw) => {
      sizes.push(raw.length);
      return raw;
    },
  });
  t.same(sizes, [4096, 4096, 1808]);
});

await test('overrides are applied last, and the digest covers them', async (t) => {
  const file = writeZfile(RAW, {
    header: { blockSize: 6144, level: 3 },
    trailer: { digest: 1 },
    index: (lengths) => lengths.map(() => 1),
  });
  t.equal(file.readUInt32LE(72), 6144);
  t.equal(file[77], 3);
  const zeroed = Buffer.from(file.subarray(0, 512)).fill(0, 28, 32);
  t.equal(file.readUInt32LE(28), rawCrc32c(zeroed));
  t.equal(file.readUInt32LE(file.length - 512 + 28), 1);
  const indexOffset = Number(file.readBigUInt64LE(40));
  t.equal(file.readUInt32LE(indexOffset), 1);
});

await test('the file form writes what the memory form returns', async (t) => {
  const large = Buffer.concat([randomBytes(7, 1_500_000), textBytes(8, 1_000_000)]);
  const path = join(t.testdir(), 'large.zfile');
  for (const mode of ['header', 'trailer'] as const) {
    const fd = openSync(path, 'w');
    let sums = 0;
    const crc = (bytes: Uint8Array, seed: number) => {
      sums++;
      return rawCrc32c(bytes, seed);
    };
    const source = (offset: number, length: number) => large.subarray(offset, offset + length);
    const size = writeZfileTo(fd, source, large.length, { mode, blockSize: 32768, crc });
    closeSync(fd);
    const file = readFileSync(path);
    t.ok(file.equals(writeZfile(large, { mode, blockSize: 32768 })), mode);
    t.equal(size, file.length);
    t.equal(sums, Math.ceil(large.length / 32768), 'the given checksum was used');
  }
});
