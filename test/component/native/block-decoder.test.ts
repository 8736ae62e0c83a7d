// The addon's batch decoder: which arguments it refuses, and that hostile bounds and blocks stay inside their buffers.
// Skipped for a codec whose library this machine lacks; results are tested in test/unit/codec.
import { Worker } from 'node:worker_threads';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { encodeBlock } from '../../support/encode-block.js';
import { CODEC_LZ4, CODEC_ZSTD, codecs } from '../../../daemon/native/block-decoder.js';
import { crc32c } from '../../../daemon/native/crc32c.js';
import { randomBytes, seededRandom, textBytes } from '../../support/pattern.js';

const SEED = 100_007;
const SIZE = 1024;

/** A run of three blocks with CRCs; the last one is short. */
function makeRun(algorithm: 'lz4' | 'zstd') {
  const plain = [textBytes(1, SIZE), randomBytes(2, SIZE), textBytes(3, 10)];
  const parts = plain.flatMap((each) => {
    const block = encodeBlock(algorithm, each);
    const crc = Buffer.alloc(4);
    crc.writeUInt32LE(crc32c(block, 0, block.length, SEED));
    return [block, crc];
  });
  const bounds = new Uint32Array(4);
  for (let i = 0; i < 3; i++) {
    const size = (parts[2 * i] as Buffer).length + 4;
    bounds[i + 1] = (bounds[i] as number) + size;
  }
  return { src: Buffer.concat(parts), bounds, plain: Buffer.concat(plain) };
}

for (const [algorithm, codec] of [
  ['lz4', CODEC_LZ4],
  ['zstd', CODEC_ZSTD],
] as const) {
  const version = codecs.version(codec);
  const skip = version === '' ? `no library for ${algorithm} on this machine` : false;

  await t.test(`${algorithm}: the library version, and a run of blocks`, { skip }, async (test) => {
    test.match(version, /^\d+\.\d+/);
    const { src, bounds, plain } = makeRun(algorithm);
    const dst = Buffer.alloc(plain.length + 2, 0xee);
    const whole = codecs.decodeBlocks(codec, src, 0, bounds, 0, 3, dst, 1, SIZE, 10, 10, 4, SEED);
    test.equal(whole, -1);
    test.ok(dst.equals(Buffer.concat([Buffer.of(0xee), plain, Buffer.of(0xee)])));
    const shared = new Uint8Array(new SharedArrayBuffer(SIZE));
    codecs.decodeBlocks(codec, src, 0, bounds, 1, 1, shared, 0, SIZE, SIZE, SIZE, 4, SEED);
    test.ok(
      Buffer.from(shared).equals(plain.subarray(SIZE, 2 * SIZE)),
      'one block, into shared memory',
    );
    test.equal(
      codecs.decodeBlocks(codec, src, 0, bounds, 1, 2, dst, 0, SIZE, 11, 11, 4, SEED),
      2,
      'the index counts from the first bound, not from the first decoded block',
    );
    test.equal(
      codecs.decodeBlocks(codec, src, 0, bounds, 1, 2, dst, 0, SIZE, 10, 10, 4, 1),
      1,
      'another seed',
    );
  });

  await t.test(`${algorithm}: wrong arguments are refused`, { skip }, async (test) => {
    const { src, bounds } = makeRun(algorithm);
    const dst = Buffer.alloc(3 * SIZE);
    const call =
      (change: Partial<Record<number, unknown>>): (() => unknown) =>
      () => {
        const given: unknown[] = [codec, src, 0, bounds, 0, 3, dst, 0, SIZE, 10, 10, 4, SEED];
        for (const [i, value] of Object.entries(change)) given[Number(i)] = value;
        return (codecs.decodeBlocks as (...args: unknown[]) => unknown)(...given);
      };
    test.equal(call({})(), -1);
    for (const [change, what] of [
      [{ 0: 2 }, 'a codec that there is not'],
      [{ 2: src.length + 1 }, 'base past the end'],
      [{ 2: 1, 4: 2, 5: 1 }, 'base that pushes the last block out'],
      [{ 4: 1 }, 'a bound too few'],
      [{ 5: 0 }, 'no blocks'],
      [{ 5: 2 ** 32 - 1 }, 'more blocks than bounds'],
      [{ 7: 3 * SIZE }, 'no room'],
      [{ 7: SIZE }, 'not enough room'],
      [{ 8: 2 ** 32 - 1 }, 'huge blocks'],
      [{ 8: 0 }, 'blocks of nothing'],
      [{ 9: 3 * SIZE, 10: 3 * SIZE }, 'a last block too long'],
      [{ 10: 11 }, 'more than the last block'],
      [{ 10: 0 }, 'nothing of the last block'],
      [{ 11: 3 }, 'an odd CRC'],
      [{ 12: 2 ** 32 }, 'a seed too large'],
      [{ 4: -1 }, 'a negative index'],
    ] as const) {
      test.throws(call(change), { name: 'RangeError' }, what);
    }
    for (const [i, value] of [
      [1, 'text'],
      [1, new Uint32Array(4)],
      [3, src],
      [3, undefined],
      [6, null],
      [5, '3'],
    ] as const) {
      test.throws(call({ [i]: value }), { name: 'TypeError' }, `argument ${i}`);
    }
  });

  await t.test(`${algorithm}: any bounds and bytes stay in the buffers`, { skip }, async (test) => {
    const { src, bounds } = makeRun(algorithm);
    const next = seededRandom(5);
    let refused = 0;
    for (let i = 0; i < 4000; i++) {
      // Exactly as large as needed, so that the sanitizers see one byte too many.
      const copy = Uint8Array.from(src);
      const odd = Uint32Array.from(bounds);
      if (i % 2 === 0) odd[next() % 4] = i % 4 === 0 ? next() : next() % (src.length + 2);
      else copy[next() % copy.length] = next();
      const dst = new Uint8Array(2 * SIZE + 10);
      try {
        const crcSize = i % 8 < 4 ? 0 : 4;
        const sizes = [SIZE, 10, 10, crcSize] as const;
        const bad = codecs.decodeBlocks(codec, copy, 0, odd, 0, 3, dst, 0, ...sizes, SEED);
        if (bad < -1 || bad > 2) test.fail(`case ${i}: ${bad}`);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        refused++;
      }
    }
    test.ok(refused > 500 && refused < 2000, `${refused} refused`);
  });
}

const noZstd = codecs.version(CODEC_ZSTD) === '' ? 'no libzstd on this machine' : false;
await t.test('memory that is given away while the pool decodes', { skip: noZstd }, async (test) => {
  const plain = Buffer.concat([textBytes(1, 400_000), randomBytes(2, 400_000)]);
  const frame = encodeBlock('zstd', plain);
  const jobs = Array.from({ length: 16 }, async (_, i) => {
    const src = Uint8Array.from(frame);
    const job = codecs.decodeElsewhere(CODEC_ZSTD, src, plain.length, i % 2 === 0 ? 0 : 1);
    if (i % 4 < 2) src.fill(0xee);
    else structuredClone(src.buffer, { transfer: [src.buffer] });
    return job;
  });
  for (const decoded of await Promise.all(jobs)) test.ok(decoded && plain.equals(decoded));
  const other = codecs.decodeElsewhere(CODEC_ZSTD, frame, plain.length + 1, 0);
  test.equal(await other, null, 'another length');
  test.equal(await codecs.decodeElsewhere(CODEC_ZSTD, frame.subarray(0, 999), 50_000_000, 1), null);
});

await t.test('each thread has its own decoders, and frees them', async (test) => {
  const path = fileURLToPath(new URL('./block-decoder-worker.js', import.meta.url));
  const exits = Array.from({ length: 6 }, async () => {
    const worker = new Worker(path);
    return new Promise<number>((resolve, reject) => {
      worker.once('error', reject);
      worker.once('exit', resolve);
    });
  });
  test.same(await Promise.all(exits), [0, 0, 0, 0, 0, 0]);
});
