// Reads of a ZFile that are announced before they come: the same bytes and errors as without it, and stored blocks are
// read once. Skipped if this machine lacks one of the libraries.
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { createDecoder, createPortableDecoder } from '../../../daemon/codec/decoder.js';
import { CODEC_LZ4, CODEC_ZSTD, codecs } from '../../../daemon/native/block-decoder.js';
import { openZfile } from '../../../daemon/zfile/open.js';
import { ZfileReader, ZfileScratch } from '../../../daemon/zfile/reader.js';
import { MemorySource } from '../../support/memory-source.js';
import { randomBytes, seededRandom, textBytes } from '../../support/pattern.js';
import { writeZfile, type ZfileOptions } from '../../support/zfile-writer.js';

const lacks = [CODEC_LZ4, CODEC_ZSTD].some((codec) => codecs.version(codec) === '');
const skip = lacks ? 'no liblz4 or no libzstd here' : false;
const SIZE = 100 * 4096 + 700;
// One for this thread, as in the daemon.
const scratch = new ZfileScratch();
const RAW = Buffer.concat([textBytes(1, SIZE / 2), randomBytes(2, SIZE / 2)]);

async function open(
  options: ZfileOptions = {},
): Promise<{ reader: ZfileReader; source: MemorySource }> {
  const source = new MemorySource(writeZfile(RAW, { algorithm: 'zstd', ...options }), 'blob');
  const { spec } = await openZfile(source, source.bytes);
  const reader = new ZfileReader(spec, source, createDecoder(spec.algorithm), scratch);
  source.reads.length = 0;
  return { reader, source };
}

/** Whether the read gives the right bytes, and writes nothing else. */
function isRight(reader: ZfileReader, offset: number, length: number): boolean {
  const bytes = Buffer.alloc(length + 2, 0xdb);
  if (!reader.read(offset, length, bytes, 1)) throw new Error('memory never waits');
  const isWithin = bytes[0] === 0xdb && bytes.at(-1) === 0xdb;
  return isWithin && bytes.subarray(1, -1).equals(RAW.subarray(offset, offset + length));
}

await t.test('announced reads at random, with the helper', { skip }, async (test) => {
  for (const options of [{}, { blockSize: 512 }, { blockSize: 65_536 }, { verify: false }]) {
    for (const algorithm of ['lz4', 'zstd'] as const) {
      const { reader } = await open({ ...options, algorithm });
      const next = seededRandom(3);
      for (let round = 0; round < 20; round++) {
        const ranges = Array.from({ length: 1 + (next() % 40) }, (): [number, number] => {
          const offset = next() % SIZE;
          return [offset, Math.min(SIZE - offset, next() % 9000)];
        });
        reader.together?.begin();
        for (const range of ranges) reader.announce(...range);
        reader.together?.end();
        // Some are not read, and some that were not announced are.
        for (const [offset, length] of ranges) {
          if (next() % 8 === 0) continue;
          if (!isRight(reader, offset, length)) test.fail(`round ${round}: ${offset}+${length}`);
          if (next() % 8 === 0 && !isRight(reader, next() % 4096, 5000)) test.fail(`${round}`);
        }
      }
    }
  }
  test.pass('the right bytes');
});

await t.test('what was announced is not read from the source again', { skip }, async (test) => {
  const { reader, source } = await open();
  const ranges = [1, 7, 20, 33, 50].map((i): [number, number] => [i * 4096 + 1024, 4096]);
  reader.together?.begin();
  for (const range of ranges) reader.announce(...range);
  test.equal(source.reads.length, 5);
  for (const range of ranges) test.ok(isRight(reader, ...range), `${range[0]}`);
  test.equal(source.reads.length, 5);
});

await t.test('stored bytes of a file are read where they are decoded', { skip }, async (test) => {
  const { reader, source } = await open();
  const path = join(test.testdir(), 'blob');
  writeFileSync(path, Buffer.concat([Buffer.alloc(5), source.bytes]));
  readFileSync(path);
  const fd = openSync(path, 'r');
  const found = Object.assign(source, {
    locate: (offset: number, _: number, into: { fd: number; position: number }): boolean => {
      into.fd = fd;
      into.position = offset + 5;
      return true;
    },
  });
  found.reads.length = 0;
  const ranges = [3, 9, 60].map((i): [number, number] => [i * 4096 + 1024, 4096]);
  reader.together?.begin();
  for (const range of ranges) reader.announce(...range);
  for (const range of ranges) test.ok(isRight(reader, ...range), `${range[0]}`);
  test.same(found.reads, []);
  // The file becomes another one: checksums tell, and the source is asked.
  reader.together?.begin();
  for (const range of ranges) reader.announce(...range);
  closeSync(fd);
  for (const range of ranges) test.ok(isRight(reader, ...range), `${range[0]}`);
  test.equal(found.reads.length, 3);
});

await t.test('a longer read of the same blocks gets all its bytes', { skip }, async (test) => {
  for (const algorithm of ['lz4', 'zstd'] as const) {
    const { reader } = await open({ algorithm });
    reader.together?.begin();
    reader.announce(8 * 4096 + 100, 4096);
    reader.announce(20 * 4096, 50);
    test.ok(isRight(reader, 8 * 4096 + 100, 8000), algorithm);
    test.ok(isRight(reader, 20 * 4096 + 7, 4000), algorithm);
  }
});

await t.test(
  'a client that reads on has each read read the source once',
  { skip },
  async (test) => {
    const { reader, source } = await open();
    for (let at = 1024; at + 4 * 4096 < 40 * 4096; at += 4 * 4096) {
      const ranges = [0, 1, 2, 3].map((i): [number, number] => [at + i * 4096, 4096]);
      reader.together?.begin();
      for (const range of ranges) reader.announce(...range);
      for (const range of ranges) if (!isRight(reader, ...range)) test.fail(`${range[0]}`);
    }
    test.equal(source.reads.length, 36);
  },
);

await t.test('a bad block fails the read that needs it, and no other', { skip }, async (test) => {
  const { reader, source } = await open();
  const length = (i: number): number =>
    source.bytes.readUInt32LE(Number(source.bytes.readBigUInt64LE(40)) + 4 * i);
  let at = 512;
  for (let i = 0; i < 7; i++) at += length(i);
  source.bytes[at + 9] = (source.bytes[at + 9] as number) ^ 1;
  const read = (block: number): boolean => isRight(reader, block * 4096 + 100, 4096);
  for (let n = 0; n < 2; n++) {
    reader.together?.begin();
    for (const block of [2, 6, 9, 14]) reader.announce(block * 4096 + 100, 4096);
    test.ok(read(2));
    test.throws(() => read(6), { code: 'BAD_CHECKSUM', message: /block 7 at byte/ });
    test.ok(read(9));
    test.ok(read(14));
  }
});

await t.test('a source that fails or waits is asked again by the read', { skip }, async (test) => {
  const { reader, source } = await open();
  const read = source.read.bind(source);
  let fails = true;
  source.read = (...args) => {
    if (!fails) return read(...args);
    if (args[0] > 1000) throw new Error('scripted');
    return false;
  };
  reader.together?.begin();
  reader.announce(0, 4096);
  reader.announce(50 * 4096 + 9, 4096);
  fails = false;
  test.ok(isRight(reader, 0, 4096));
  test.ok(isRight(reader, 50 * 4096 + 9, 4096));
  reader.announce(SIZE - 10, 20);
  reader.announce(0, 0);
  test.throws(() => reader.read(SIZE - 10, 20, Buffer.alloc(20), 0), { code: 'BAD_DATA' });
});

await t.test('a package decodes nothing ahead', async (test) => {
  const { source } = await open();
  const { spec } = await openZfile(source, source.bytes);
  const reader = new ZfileReader(spec, source, createPortableDecoder('zstd'), scratch);
  test.equal(reader.together, undefined);
  source.reads.length = 0;
  reader.announce(0, 4096);
  test.same(source.reads, []);
  test.ok(isRight(reader, 0, 4096));
});
