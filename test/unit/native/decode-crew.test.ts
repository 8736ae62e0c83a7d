// Long runs of blocks with a second decoding thread: the same results as block by block, for good and bad blocks.
// Skipped for a codec whose library this machine lacks.
import t from 'tap';
import { encodeBlock } from '../../support/encode-block.js';
import { CODEC_LZ4, CODEC_ZSTD, codecs } from '../../../daemon/native/block-decoder.js';
import { crc32c } from '../../../daemon/native/crc32c.js';
import { randomBytes, seededRandom, textBytes } from '../../support/pattern.js';

const SEED = 100_007;
const BLOCK = 4096;
const COUNT = 96;
const LAST = 1000;
const PLAIN = (COUNT - 1) * BLOCK + LAST;

interface Run {
  readonly src: Buffer;
  readonly bounds: Uint32Array;
  readonly plain: Buffer;
}

function makeRun(algorithm: 'lz4' | 'zstd'): Run {
  const bounds = new Uint32Array(COUNT + 1);
  const parts: Buffer[] = [];
  const plains: Buffer[] = [];
  for (let i = 0; i < COUNT; i++) {
    const size = i === COUNT - 1 ? LAST : BLOCK;
    const plain = i % 5 === 0 ? randomBytes(i, size) : textBytes(i, size);
    const block = encodeBlock(algorithm, plain);
    const crc = Buffer.alloc(4);
    crc.writeUInt32LE(crc32c(block, 0, block.length, SEED));
    plains.push(plain);
    parts.push(block, crc);
    bounds[i + 1] = (bounds[i] as number) + block.length + 4;
  }
  return { src: Buffer.concat(parts), bounds, plain: Buffer.concat(plains) };
}

for (const [algorithm, codec] of [
  ['lz4', CODEC_LZ4],
  ['zstd', CODEC_ZSTD],
] as const) {
  const skip = codecs.version(codec) === '' ? `no library for ${algorithm} here` : false;
  const decode = (
    src: Buffer,
    bounds: Uint32Array,
    first: number,
    count: number,
    dst: Buffer,
  ): number => {
    const last = first + count === COUNT ? LAST : BLOCK;
    return codecs.decodeBlocks(
      codec,
      src,
      0,
      bounds,
      first,
      count,
      dst,
      first * BLOCK,
      BLOCK,
      last,
      last,
      4,
      SEED,
    );
  };

  await t.test(`${algorithm}: repeated decoding gives the same bytes`, { skip }, async (test) => {
    const { src, bounds, plain } = makeRun(algorithm);
    for (let round = 0; round < 300; round++) {
      const dst = Buffer.alloc(PLAIN);
      const first = round % 40;
      if (decode(src, bounds, first, COUNT - first, dst) !== -1) {
        return void test.fail(`round ${round}: not decoded`);
      }
      if (!dst.subarray(first * BLOCK).equals(plain.subarray(first * BLOCK))) {
        return void test.fail(`round ${round}: other bytes`);
      }
    }
    test.pass('the same every time');
  });

  await t.test(`${algorithm}: the first bad block is found`, { skip }, async (test) => {
    const { src, bounds, plain } = makeRun(algorithm);
    const next = seededRandom(7);
    for (let round = 0; round < 300; round++) {
      const bad = Array.from({ length: 1 + (next() % 4) }, () => (next() >>> 5) % COUNT);
      const broken = Buffer.from(src);
      for (const i of bad) {
        const at = bounds[i] as number;
        broken[at] = (broken[at] as number) ^ 0x55;
      }
      const dst = Buffer.alloc(PLAIN);
      const found = decode(broken, bounds, 0, COUNT, dst);
      const expected = Math.min(...bad);
      // Two changes in one block may cancel each other.
      if (new Set(bad).size < bad.length) continue;
      if (found !== expected) return void test.fail(`round ${round}: ${found}, not ${expected}`);
      const good = expected * BLOCK;
      if (!dst.subarray(0, good).equals(plain.subarray(0, good))) {
        return void test.fail(`round ${round}: other bytes before block ${expected}`);
      }
    }
    test.pass('found every time');
  });

  await t.test(`${algorithm}: unordered bounds are refused`, { skip }, async (test) => {
    const { src, bounds } = makeRun(algorithm);
    for (const i of [0, 1, 40, COUNT - 1]) {
      const wrong = Uint32Array.from(bounds);
      wrong[i + 1] = src.length + 1;
      const dst = Buffer.alloc(PLAIN);
      test.throws(() => decode(src, wrong, 0, COUNT, dst), RangeError, `block ${i}`);
    }
  });
}
