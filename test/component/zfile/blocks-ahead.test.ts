// Reads of a ZFile that are announced before they come: the same bytes and errors as without it, and stored blocks are
// read and decoded once. Skipped if this machine lacks one of the libraries, or has one core.
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import { createDecoder, createPortableDecoder } from '../../../daemon/codec/decoder.js';
import { CODEC_LZ4, CODEC_ZSTD, codecs } from '../../../daemon/native/block-decoder.js';
import { decodeAhead } from '../../../daemon/native/decode-ahead.js';
import { BlocksAhead } from '../../../daemon/zfile/blocks-ahead.js';
import { openZfile } from '../../../daemon/zfile/open.js';
import { ZfileReader, ZfileScratch } from '../../../daemon/zfile/reader.js';
import { MemorySource } from '../../support/memory-source.js';
import { randomBytes, seededRandom, textBytes } from '../../support/pattern.js';
import { writeZfile, type ZfileOptions } from '../../support/zfile-writer.js';

const lacks = [CODEC_LZ4, CODEC_ZSTD].some((codec) => codecs.version(codec) === '');
const skip =
  lacks || availableParallelism() < 2 ? 'no liblz4, no libzstd, or one core here' : false;
const PATIENCE_MS = 120_000;
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

type Ranges = readonly (readonly [number, number])[];

/** @returns whether a round has begun */
function announce(reader: ZfileReader, ranges: Ranges): boolean {
  if (!reader.together?.begin()) return false;
  for (const range of ranges) reader.announce(...range);
  reader.together.end();
  return true;
}

/** Makes a round again if the helper was interrupted in it, as other programs may do at any time. */
async function until(round: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + PATIENCE_MS;
  while (!(await round())) {
    if (Date.now() > end) throw new Error('no round was as it should be');
    await pause(1);
  }
}

/** Whether the read gives the right bytes, and writes nothing else. */
function isRight(reader: ZfileReader, offset: number, length: number): boolean {
  const bytes = Buffer.alloc(length + 2, 0xdb);
  if (!reader.read(offset, length, bytes, 1)) throw new Error('memory never waits');
  const isWithin = bytes[0] === 0xdb && bytes.at(-1) === 0xdb;
  return isWithin && bytes.subarray(1, -1).equals(RAW.subarray(offset, offset + length));
}

await t.test('without memory nothing is announced, and no read fails', async (test) => {
  const openAhead = decodeAhead.open.bind(decodeAhead);
  let calls = 0;
  decodeAhead.open = () => {
    calls++;
    throw new Error('scripted');
  };
  const ahead = new BlocksAhead();
  test.equal(ahead.begin(), false);
  test.equal(ahead.begin(), false);
  ahead.end();
  test.equal(ahead.take(1, 0, 1, 1), -1);
  test.equal(calls, 1);
  decodeAhead.open = openAhead;
});

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
        announce(reader, ranges);
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
  const ranges = [1, 7, 20, 33, 50].map((i): [number, number] => [i * 4096 + 1024, 4096]);
  await until(async () => {
    const { reader, source } = await open();
    if (!announce(reader, ranges)) return false;
    test.equal(source.reads.length, 5);
    for (const range of ranges) test.ok(isRight(reader, ...range), `${range[0]}`);
    return source.reads.length === 5;
  });
});

await t.test('stored bytes of a file are read where they are decoded', { skip }, async (test) => {
  const path = join(test.testdir(), 'blob');
  writeFileSync(path, Buffer.concat([Buffer.alloc(5), (await open()).source.bytes]));
  readFileSync(path);
  const fd = openSync(path, 'r');
  const openFound = async (): Promise<{ reader: ZfileReader; source: MemorySource }> => {
    const { reader, source } = await open();
    Object.assign(source, {
      locate: (offset: number, _: number, into: { fd: number; position: number }): boolean => {
        into.fd = fd;
        into.position = offset + 5;
        return true;
      },
    });
    return { reader, source };
  };
  const ranges = [3, 9, 60].map((i): [number, number] => [i * 4096 + 1024, 4096]);
  await until(async () => {
    const { reader, source } = await openFound();
    if (!announce(reader, ranges)) return false;
    for (const range of ranges) test.ok(isRight(reader, ...range), `${range[0]}`);
    return source.reads.length === 0;
  });
  // The file becomes another one: checksums tell, and the source is asked.
  const { reader, source } = await openFound();
  closeSync(fd);
  announce(reader, ranges);
  for (const range of ranges) test.ok(isRight(reader, ...range), `${range[0]}`);
  test.equal(source.reads.length, 3);
});

await t.test('a longer read of the same blocks gets all its bytes', { skip }, async (test) => {
  for (const algorithm of ['lz4', 'zstd'] as const) {
    const { reader } = await open({ algorithm });
    announce(reader, [
      [8 * 4096 + 100, 4096],
      [20 * 4096, 50],
    ]);
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
      announce(reader, ranges);
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
    announce(
      reader,
      [2, 6, 9, 14].map((block) => [block * 4096 + 100, 4096]),
    );
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
  announce(reader, [
    [0, 4096],
    [50 * 4096 + 9, 4096],
    [SIZE - 10, 20],
    [0, 0],
  ]);
  fails = false;
  test.ok(isRight(reader, 0, 4096));
  test.ok(isRight(reader, 50 * 4096 + 9, 4096));
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

/** A reader with scratch memory of its own. */
async function openApart(raw: Buffer): Promise<ZfileReader> {
  const source = new MemorySource(writeZfile(raw, { algorithm: 'zstd' }), 'blob');
  const { spec } = await openZfile(source, source.bytes);
  return new ZfileReader(spec, source, createDecoder(spec.algorithm), new ZfileScratch());
}

await t.test('a second scratch memory in a thread has other owners', { skip }, async (test) => {
  const ranges = [3, 9, 60].map((i): [number, number] => [i * 4096 + 1024, 4096]);
  const other = await openApart(Buffer.from(RAW.map((byte) => byte ^ 0xff)));
  const reader = await openApart(RAW);
  await until(async () => announce(other, ranges));
  for (const range of ranges) test.ok(isRight(reader, ...range), `${range[0]}`);
  await until(async () => announce(reader, ranges));
  for (const range of ranges) test.ok(isRight(reader, ...range), `${range[0]}`);
});

/** A reader, and how many blocks it has decoded, or had decoded ahead. */
async function openCounted(
  options: ZfileOptions,
): Promise<{ reader: ZfileReader; decoded: () => number }> {
  const { source } = await open(options);
  const { spec } = await openZfile(source, source.bytes);
  const inner = createDecoder(spec.algorithm);
  let count = 0;
  const decode: typeof inner.decode = (...args) => {
    count += args[2];
    return inner.decode(...args);
  };
  const { codecAhead, canDecodeBegin } = inner;
  const reader = new ZfileReader(spec, source, { codecAhead, canDecodeBegin, decode }, scratch);
  const add = decodeAhead.add.bind(decodeAhead);
  decodeAhead.add = (...args) => {
    const number = add(...args);
    if (number >= 0) count += args[3];
    return number;
  };
  return {
    reader,
    decoded: () => {
      decodeAhead.add = add;
      return count;
    },
  };
}

/** Ranges of 4 KiB that follow each other. */
const following = (begin: number, count: number): [number, number][] =>
  Array.from({ length: count }, (_, i) => [begin + i * 4096, 4096]);

await t.test('reads that follow each other decode each block once', { skip }, async (test) => {
  for (const [blockSize, blocks] of [
    [4096, 61],
    [65_536, 4],
  ] as const) {
    const { reader, decoded } = await openCounted({ blockSize });
    for (const part of [following(1024, 30), following(1024 + 30 * 4096, 30)]) {
      await until(async () => announce(reader, part));
      for (const range of part) if (!isRight(reader, ...range)) test.fail(`${range[0]}`);
    }
    test.equal(decoded(), blocks, `blocks of ${blockSize}`);
  }
});

await t.test('a block that is decoded whole stays so', { skip }, async (test) => {
  await until(async () => {
    const { reader, decoded } = await openCounted({ blockSize: 65_536 });
    test.ok(isRight(reader, 70_000, 100), 'block 1');
    // Blocks 0 and 1, and block 4.
    const ranges: Ranges = [
      [65_000, 4096],
      [300_000, 100],
    ];
    const isBegun = announce(reader, ranges);
    for (const range of ranges) test.ok(isRight(reader, ...range), `${range[0]}`);
    test.ok(isRight(reader, 90_000, 4096), 'block 1 again');
    const count = decoded();
    return isBegun && count === 1 + 2 + 1;
  });
});

await t.test('two pieces of one block decode it once', { skip }, async (test) => {
  // A read of a disk whose layer is in fragments comes as reads of the pieces.
  const ranges: Ranges = [
    [10 * 4096, 512],
    [10 * 4096 + 2048, 512],
    [40 * 4096 + 512, 512],
    [40 * 4096 + 3072, 1024],
  ];
  const { reader, decoded } = await openCounted({});
  await until(async () => announce(reader, ranges));
  for (const range of ranges) test.ok(isRight(reader, ...range), `${range[0]}`);
  test.equal(decoded(), 2);
});
