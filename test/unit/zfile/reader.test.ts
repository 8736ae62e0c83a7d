// Reading through ZFiles: the errors of bad blocks, which fail only reads that need them.
import { test } from 'tap';
import type { BatchDecoder } from '../../../daemon/codec/batch.js';
import { createDecoder } from '../../../daemon/codec/decoder.js';
import { encodeBlock } from '../../support/encode-block.js';
import { openZfile } from '../../../daemon/zfile/open.js';
import { ZfileReader, ZfileScratch } from '../../../daemon/zfile/reader.js';
import { MemorySource } from '../../support/memory-source.js';
import { randomBytes, seededRandom, textBytes } from '../../support/pattern.js';
import { writeZfile, type ZfileOptions } from '../../support/zfile-writer.js';

const scratch = new ZfileScratch();

interface Opened {
  reader: ZfileReader;
  /** Another reader of the same file, with an empty cache. */
  reopen: () => ZfileReader;
  source: MemorySource;
  /** Of every call of the decoder: the number of blocks, and how many bytes of the last one are decoded. */
  decoded: (readonly [number, number])[];
  read: (offset: number, length: number) => Buffer;
}

async function open(raw: Buffer, options: ZfileOptions): Promise<Opened> {
  const source = new MemorySource(writeZfile(raw, options), 'blob');
  const { spec } = await openZfile(source, source.bytes);
  const decoded: Opened['decoded'] = [];
  const inner = createDecoder(spec.algorithm);
  const decoder: BatchDecoder = {
    codecAhead: inner.codecAhead,
    canDecodeBegin: inner.canDecodeBegin,
    decode: (...args) => {
      decoded.push([args[2], args[6]]);
      return inner.decode(...args);
    },
  };
  const reopen = () => new ZfileReader(spec, source, decoder, scratch);
  const reader = reopen();
  return {
    reader,
    reopen,
    source,
    decoded,
    read: (offset, length) => readFrom(reader, offset, length),
  };
}

function readFrom(reader: ZfileReader, offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length, 0xdb);
  if (!reader.read(offset, length, bytes, 0)) throw new Error('memory never waits');
  return bytes;
}

/** Bytes of which some compress and some grow. */
function mixed(size: number): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < size; at += 10_000) {
    parts.push(at % 20_000 === 0 ? textBytes(at, 10_000) : randomBytes(at, 10_000));
  }
  return Buffer.concat(parts).subarray(0, size);
}

for (const algorithm of ['lz4', 'zstd'] as const) {
  await test(`${algorithm}: every block size, ranges at block ends, a short last block`, async (t) => {
    for (let blockSize = 512; blockSize <= 65_536; blockSize *= 2) {
      for (const size of [1, blockSize - 1, blockSize, 3 * blockSize + 1, 300_001]) {
        const raw = mixed(size);
        const { read } = await open(raw, { algorithm, blockSize, verify: size % 2 === 0 });
        t.ok(read(0, size).equals(raw), `${blockSize}: all ${size} bytes`);
        const edges = [
          0,
          1,
          blockSize - 1,
          blockSize,
          blockSize + 1,
          2 * blockSize,
          size - 1,
          size,
        ];
        for (const begin of edges) {
          for (const end of edges) {
            if (begin > end || end > size) continue;
            if (!read(begin, end - begin).equals(raw.subarray(begin, end))) {
              t.fail(`${blockSize}, ${size} bytes: ${begin} to ${end}`);
            }
          }
        }
      }
    }
  });

  await test(`${algorithm}: bad blocks with right checksums are BAD_DATA`, async (t) => {
    const raw = textBytes(1, 5 * 4096);
    const encodes: [string, (block: Uint8Array) => Uint8Array][] = [
      ['garbage', () => randomBytes(5, 1000)],
      ['zeros', () => Buffer.alloc(100)],
      ['one byte', () => Buffer.of(0)],
      ['short', (block) => encodeBlock(algorithm, block.subarray(1))],
      ['long', (block) => encodeBlock(algorithm, Buffer.concat([block, Buffer.alloc(1)]))],
      ['another algorithm', (block) => encodeBlock(algorithm === 'lz4' ? 'zstd' : 'lz4', block)],
    ];
    for (const [name, replace] of encodes) {
      for (const verify of [true, false]) {
        const encode = (block: Uint8Array, index: number) =>
          index === 2 ? replace(block) : encodeBlock(algorithm, block);
        const { read, reader } = await open(raw, { algorithm, verify, encode });
        const bad = {
          code: 'BAD_DATA',
          message:
            /^blob \(zfile\): block 2 at byte \d+: expected data that decodes to 4096 bytes, got data that does not$/,
        };
        t.throws(() => read(0, raw.length), bad, name);
        t.throws(() => read(3 * 4096 - 10, 10), bad, `${name}, its end`);
        const stops = verify && createDecoder(algorithm).canDecodeBegin;
        if (!stops) t.throws(() => read(2 * 4096 + 5, 10), bad, `${name}, in part`);
        t.throws(() => reader.read(3 * 4096 - 10, 20, Buffer.alloc(20), 0), bad, 'across its end');
        t.ok(read(0, 2 * 4096).equals(raw.subarray(0, 2 * 4096)), 'blocks before it are good');
        t.ok(
          read(3 * 4096, 4096).equals(raw.subarray(3 * 4096, 4 * 4096)),
          'blocks after it are good',
        );
      }
    }
  });

  await test(`${algorithm}: an overstated size makes the last block bad`, async (t) => {
    const raw = textBytes(1, 4096 + 100);
    const { read } = await open(raw, { algorithm, header: { originalSize: 4096 + 101 } });
    t.ok(read(0, 4096).equals(raw.subarray(0, 4096)));
    t.throws(() => read(4096, 101), {
      code: 'BAD_DATA',
      message: /block 1 .* decodes to 101 bytes/,
    });
  });
}

await test('a flipped bit anywhere in a block or its checksum is BAD_CHECKSUM', async (t) => {
  const raw = mixed(40_960);
  const { reopen, source } = await open(raw, { blockSize: 4096 });
  const good = Buffer.from(source.bytes);
  const blockEnd = (i: number): number =>
    512 +
    lengthsOf(good, 10)
      .slice(0, i)
      .reduce((a, b) => a + b, 0);
  const next = seededRandom(7);
  for (let i = 0; i < 200; i++) {
    const block = next() % 10;
    const at = blockEnd(block) + (next() % (blockEnd(block + 1) - blockEnd(block)));
    source.bytes = Buffer.from(good);
    source.bytes[at] = (good[at] ?? 0) ^ (1 << (next() % 8));
    const message = new RegExp(
      `^blob \\(zfile\\): block ${block} at byte ${blockEnd(block)}: expected checksum 0x[0-9a-f]+, got 0x[0-9a-f]+$`,
    );
    const reader = reopen();
    const read = (offset: number, length: number) => readFrom(reader, offset, length);
    const other = (block + 5) % 10;
    t.ok(read(other * 4096 + 7, 9).equals(raw.subarray(other * 4096 + 7, other * 4096 + 16)));
    for (const [offset, length] of [
      [0, 40_960],
      [block * 4096, 4096],
      [block * 4096 + 9, 1],
    ]) {
      const error = failure(() => read(offset as number, length as number));
      if (error?.code !== 'BAD_CHECKSUM' || !message.test(error.message)) {
        t.fail(`byte ${at}: ${error?.code} ${error?.message}`);
      }
    }
  }
  source.bytes = good;
  t.ok(readFrom(reopen(), 0, 40_960).equals(raw), 'repaired');
});

await test('without checksums a flipped literal is not detected (verify=0)', async (t) => {
  const raw = randomBytes(1, 4096);
  const { read, source } = await open(raw, { verify: false });
  source.bytes[512 + 2000] = (source.bytes[512 + 2000] ?? 0) ^ 1;
  t.notOk(read(0, 4096).equals(raw));
});

await test('reads past the end are refused, and the reader stays usable', async (t) => {
  const raw = textBytes(1, 10_000);
  const { read } = await open(raw, {});
  for (const [offset, length] of [
    [0, 10_001],
    [9999, 2],
    [10_000, 1],
    [2 ** 40, 1],
  ] as const) {
    t.throws(() => read(offset, length), {
      code: 'BAD_DATA',
      message: /^blob \(zfile\): read at byte/,
    });
  }
  t.equal(read(10_000, 0).length, 0);
  t.ok(read(0, 10_000).equals(raw));
});

await test("two readers of one thread do not use each other's blocks", async (t) => {
  const first = textBytes(1, 8192);
  const second = textBytes(2, 8192);
  const a = await open(first, {});
  const b = await open(second, { algorithm: 'zstd' });
  for (const at of [1, 100, 4097, 5]) {
    t.ok(a.read(at, 50).equals(first.subarray(at, at + 50)));
    t.ok(b.read(at, 50).equals(second.subarray(at, at + 50)));
  }
});

await test('a partial read keeps its block: the rest needs no second decode', async (t) => {
  for (const verify of [true, false]) {
    const raw = textBytes(1, 8192);
    const { read, source } = await open(raw, { verify });
    const stops = verify && createDecoder('lz4').canDecodeBegin;
    source.reads.length = 0;
    read(0, 100);
    read(0, 100);
    t.equal(source.reads.length, 1, 'the same bytes again');
    t.ok(read(100, 100).equals(raw.subarray(100, 200)));
    t.equal(
      source.reads.length,
      stops ? 2 : 1,
      'the client reads on: now the block is decoded whole',
    );
    t.ok(read(200, 3896).equals(raw.subarray(200, 4096)));
    t.equal(source.reads.length, stops ? 2 : 1);
  }
});

await test('of the last block no more is decoded than is wanted, until the client reads on', async (t) => {
  const raw = mixed(40 * 4096);
  const { read, source, decoded } = await open(raw, { blockSize: 4096 });
  const readAt = (offset: number, length: number): number[][] => {
    source.reads.length = 0;
    decoded.length = 0;
    if (!read(offset, length).equals(raw.subarray(offset, offset + length))) t.fail(`${offset}`);
    return decoded.map((each) => [...each]);
  };
  const part = createDecoder('lz4').canDecodeBegin ? (n: number) => n : () => 4096;
  t.same(readAt(20 * 4096 + 3000, 4096), [[2, part(3000)]], 'a pair of blocks');
  t.same(readAt(30 * 4096 + 50, 100), [[1, part(150)]], 'the middle of a block');
  t.same(readAt(35 * 4096, 4096 + 9), [[1, 4096], [1, part(9)]], 'a block and the beginning of one'); // prettier-ignore
  t.same(readAt(3000, 8192), [[1, 4096], [1, 4096], [1, part(3000)]], 'the first of many'); // prettier-ignore
  const again = part(3000) < 4096 ? [[1, 4096]] : [];
  t.same(readAt(3000 + 8192, 8192), [...again, [1, 4096], [1, 4096]], 'the second');
  t.same(
    readAt(3000 + 2 * 8192, 8192),
    [
      [1, 4096],
      [1, 4096],
    ],
    'the third',
  );
});

await test('lz4: a block of which only the beginning is wanted is refused for any wrong bit', async (t) => {
  const raw = mixed(8192);
  const { reopen, source } = await open(raw, { blockSize: 4096 });
  const good = Buffer.from(source.bytes);
  const [length = 0] = lengthsOf(good, 1);
  for (let at = 512; at < 512 + length; at += 7) {
    source.bytes = Buffer.from(good);
    source.bytes[at] = (good[at] ?? 0) ^ 0x10;
    const reader = reopen();
    t.equal(failure(() => readFrom(reader, 0, 9))?.code, 'BAD_CHECKSUM', `byte ${at}`);
  }
});

await test('parallel misaligned sequential readers decode each block once', async (t) => {
  const raw = textBytes(1, 4 * 512 * 1024);
  const { read, source } = await open(raw, { blockSize: 16_384 });
  source.reads.length = 0;
  for (let at = 100; at + 4096 <= 512 * 1024; at += 4096) {
    for (let stream = 0; stream < 4; stream++) {
      const from = stream * 512 * 1024 + at;
      if (!read(from, 4096).equals(raw.subarray(from, from + 4096))) t.fail(`read at ${from}`);
    }
  }
  // The first block of each is decoded in part first.
  const more = createDecoder('lz4').canDecodeBegin ? 4 : 0;
  t.equal(source.reads.length, 4 * 32 + more);
});

await test('a block that failed is not kept, and the block before it is not lost', async (t) => {
  const raw = textBytes(1, 4 * 4096);
  const { read, source } = await open(raw, {});
  const good = Buffer.from(source.bytes);
  const at = 512 + lengthsOf(good, 1).reduce((a, b) => a + b, 0);
  source.bytes[at + 5] = (good[at + 5] ?? 0) ^ 1;
  for (let i = 0; i < 2; i++) t.throws(() => read(4090, 12), { code: 'BAD_CHECKSUM' });
  t.ok(read(4090, 6).equals(raw.subarray(4090, 4096)));
  source.bytes = good;
  t.ok(read(4090, 12).equals(raw.subarray(4090, 4102)), 'repaired');
});

function lengthsOf(zfile: Buffer, count: number): number[] {
  const at = Number(zfile.readBigUInt64LE(40));
  return Array.from({ length: count }, (_, i) => zfile.readUInt32LE(at + 4 * i));
}

function failure(run: () => unknown): (Error & { code?: string }) | null {
  try {
    run();
    return null;
  } catch (error) {
    return error as Error;
  }
}
