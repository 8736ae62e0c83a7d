// The batch decoders alone: for any input they report the bad block and never write outside their destination.
import { compressSync } from 'lz4-napi';
import { compress } from 'zstd-napi';
import { test } from 'tap';
import type { Algorithm } from '../../../daemon/codec/algorithm.js';
import {
  codecsInUse,
  createDecoder,
  createPortableDecoder,
} from '../../../daemon/codec/decoder.js';
import { DECODE_HEADROOM, type Batch, type BatchDecoder } from '../../../daemon/codec/batch.js';
import { encodeBlock } from '../../support/encode-block.js';
import { CODEC_LZ4, CODEC_ZSTD, codecs } from '../../../daemon/native/block-decoder.js';
import { rawCrc32c } from '../../support/crc32c.js';
import { randomBytes, seededRandom, textBytes } from '../../support/pattern.js';

const GUARD = 0xa7;
const SEED = 7;
const ALGORITHMS = ['lz4', 'zstd'] as const;

/** Every decoder that this machine has. */
const DECODERS = {
  lz4: [() => createPortableDecoder('lz4')],
  zstd: [() => createPortableDecoder('zstd')],
};
if (codecs.version(CODEC_LZ4) !== '') DECODERS.lz4.push(() => createDecoder('lz4'));
if (codecs.version(CODEC_ZSTD) !== '') DECODERS.zstd.push(() => createDecoder('zstd'));

function batchOf(blocks: readonly Uint8Array[], crcSize: 0 | 4 = 0): Batch {
  const bounds = new Uint32Array(blocks.length + 1);
  for (const [i, { length }] of blocks.entries()) {
    bounds[i + 1] = (bounds[i] as number) + length + crcSize;
  }
  const parts = blocks.flatMap((block) => {
    const crc = Buffer.alloc(4);
    crc.writeUInt32LE(rawCrc32c(block, SEED));
    return [block, crc.subarray(0, crcSize)];
  });
  const src = Buffer.concat([Buffer.alloc(DECODE_HEADROOM), ...parts]);
  return { src, base: DECODE_HEADROOM, bounds, blockSize: 512, crcSize, crcSeed: SEED };
}

/** Decodes all blocks between guard bytes. @returns the result and the output */
function decodeWith(
  decoder: BatchDecoder,
  batch: Batch,
  blockSize: number,
  lastSize: number,
  wanted = lastSize,
): { bad: number; out: Buffer } {
  const count = batch.bounds.length - 1;
  const size = (count - 1) * blockSize + wanted;
  const dst = Buffer.alloc(size + 128, GUARD);
  batch.blockSize = blockSize;
  const bad = decoder.decode(batch, 0, count, dst, 64, lastSize, wanted);
  const guards = Buffer.concat([dst.subarray(0, 64), dst.subarray(64 + size)]);
  if (!guards.equals(Buffer.alloc(128, GUARD))) throw new Error('wrote outside its place');
  return { bad, out: dst.subarray(64, 64 + size) };
}

/** Decodes with every decoder of this machine; all results must be equal. */
function decode(
  algorithm: Algorithm,
  blocks: readonly Uint8Array[],
  blockSize: number,
  lastSize = blockSize,
  crcSize: 0 | 4 = 0,
): { bad: number; out: Buffer } {
  const results = DECODERS[algorithm].map((make) =>
    decodeWith(make(), batchOf(blocks, crcSize), blockSize, lastSize),
  );
  const [first, ...others] = results as [(typeof results)[0], ...typeof results];
  for (const { bad, out } of others) {
    if (bad !== first.bad) throw new Error(`one decoder says ${first.bad}, another ${bad}`);
    if (bad < 0 && !out.equals(first.out)) throw new Error('decoders give different bytes');
  }
  return first;
}

for (const algorithm of ALGORITHMS) {
  await test(`${algorithm}: blocks of a batch are decoded one after the other`, (t) => {
    const raw = [textBytes(1, 4096), randomBytes(2, 4096), Buffer.alloc(4096), textBytes(3, 77)];
    const blocks = raw.map((each) => encodeBlock(algorithm, each));
    for (const crcSize of [0, 4] as const) {
      const { bad, out } = decode(algorithm, blocks, 4096, 77, crcSize);
      t.equal(bad, -1);
      t.ok(out.equals(Buffer.concat(raw)), `${crcSize} bytes of CRC`);
    }
    t.end();
  });

  await test(`${algorithm}: decoding a part of a batch leaves the rest unchanged`, (t) => {
    const raw = [textBytes(1, 512), textBytes(2, 512), textBytes(3, 512), textBytes(4, 512)];
    for (const make of DECODERS[algorithm]) {
      const batch = batchOf(raw.map((each) => encodeBlock(algorithm, each)));
      const dst = Buffer.alloc(1024);
      t.equal(make().decode(batch, 1, 2, dst, 0, 512, 512), -1);
      t.ok(dst.equals(Buffer.concat(raw.slice(1, 3))));
    }
    t.end();
  });

  await test(`${algorithm}: the first block with a wrong CRC or bad data is reported, and kept as it was`, (t) => {
    const raw = [1, 2, 3, 4].map((seed) => textBytes(seed, 512));
    const blocks = raw.map((each) => encodeBlock(algorithm, each));
    blocks[3] = Buffer.from('no block', 'latin1');
    for (const make of DECODERS[algorithm]) {
      const decoder = make();
      for (let bad = 1; bad < 4; bad++) {
        const batch = batchOf(blocks, 4);
        const { src, base, bounds } = batch;
        const begin = base + (bounds[bad] as number);
        // A byte of the block, then one of its CRC; block 3 is bad anyway.
        const at = bad === 1 ? begin : base + (bounds[bad + 1] as number) - 1;
        if (bad < 3) src[at] = (src[at] as number) ^ 1;
        const stored = Buffer.from(src.subarray(begin));
        const dst = Buffer.alloc(4 * 512);
        t.equal(decoder.decode(batch, 0, 4, dst, 0, 512, 512), bad);
        t.ok(
          src.subarray(begin).equals(stored),
          'the block is unchanged, so that its error can be described',
        );
        t.ok(dst.subarray(0, bad * 512).equals(Buffer.concat(raw.slice(0, bad))));
      }
    }
    t.end();
  });

  await test(`${algorithm}: blocks of a wrong decoded size are reported by their number`, (t) => {
    const good = encodeBlock(algorithm, textBytes(1, 4096));
    for (const size of [1, 4095, 4097, 8192]) {
      const odd = encodeBlock(algorithm, textBytes(1, size));
      t.equal(decode(algorithm, [good, odd, good], 4096).bad, 1, `${size} bytes`);
      t.equal(decode(algorithm, [good, good, odd], 4096).bad, 2, `${size} bytes, last`);
    }
    t.equal(decode(algorithm, [good, good], 4096, 100).bad, 1, 'the last block must be short');
    t.equal(decode(algorithm, [good], 4096, 4096).bad, -1);
    t.end();
  });

  await test(`${algorithm}: random bytes are bad blocks, and the decoder keeps working`, (t) => {
    const decoders = DECODERS[algorithm].map((make) => make());
    const good = encodeBlock(algorithm, textBytes(1, 4096));
    const next = seededRandom(42);
    let survivors = 0;
    let disagreements = 0;
    for (let i = 0; i < 3000; i++) {
      const block = i % 3 === 0 ? randomBytes(i, 1 + (next() % 600)) : Buffer.from(good);
      if (i % 3 === 1) block[next() % block.length] = next();
      const cut = i % 3 === 2 ? block.subarray(0, next() % block.length || 1) : block;
      const results = decoders.map((each) => decodeWith(each, batchOf([cut]), 4096, 4096));
      const [one, ...others] = results;
      if (one?.bad === -1) survivors++;
      for (const other of others) {
        // Library versions detect different damage; the CRC detects all of it.
        if (other.bad !== one?.bad) disagreements++;
        else if (other.bad < 0 && !other.out.equals(one.out)) t.fail(`case ${i}: other bytes`);
      }
    }
    // A block with a changed literal still decodes; a cut or random one must not.
    t.ok(survivors < 1000, `${survivors} blocks decoded`);
    t.ok(disagreements < 30, `${disagreements} blocks decoded with one library only`);
    for (const decoder of decoders) {
      const { bad, out } = decodeWith(decoder, batchOf([good]), 4096, 4096);
      t.equal(bad, -1);
      t.ok(out.equals(textBytes(1, 4096)));
    }
    t.end();
  });

  await test(`${algorithm}: blocks of a few bytes are decoded`, (t) => {
    const tiny = [0, 1, 2, 0x28, 0xff].map((byte) => Buffer.of(byte));
    for (const block of tiny)
      t.equal(decode(algorithm, [block], 512).bad, 0, block.toString('hex'));
    t.end();
  });
}

const lz4 = createDecoder('lz4');
const noBegin = lz4.canDecodeBegin ? false : 'no liblz4 of 1.9.3 or later on this machine';

await test('lz4: the last block is decoded to any length', { skip: noBegin }, (t) => {
  const raw = [textBytes(1, 4096), Buffer.concat([randomBytes(2, 1000), textBytes(3, 3096)])];
  const blocks = raw.map((each) => encodeBlock('lz4', each));
  const plain = Buffer.concat(raw);
  for (let wanted = 1; wanted <= 4096; wanted++) {
    const { bad, out } = decodeWith(lz4, batchOf(blocks, 4), 4096, 4096, wanted);
    if (bad !== -1 || !out.equals(plain.subarray(0, 4096 + wanted))) t.fail(`${wanted} bytes`);
  }
  const batch = batchOf(blocks, 4);
  const end = batch.src.length - 1;
  batch.src[end] = (batch.src[end] as number) ^ 1;
  t.equal(decodeWith(lz4, batch, 4096, 4096, 1).bad, 1, 'the CRC of all of it');
  t.end();
});

await test('lz4: bad bytes before the wanted end are found', { skip: noBegin }, (t) => {
  const good = encodeBlock('lz4', textBytes(1, 4096));
  const next = seededRandom(11);
  let survivors = 0;
  for (let i = 0; i < 6000; i++) {
    const block = i % 3 === 0 ? randomBytes(i, 1 + (next() % 600)) : Buffer.from(good);
    if (i % 3 === 1) block[next() % block.length] = next();
    const cut = i % 3 === 2 ? block.subarray(0, next() % block.length || 1) : block;
    const wanted = 1 + (next() % 4096);
    const whole = decodeWith(lz4, batchOf([cut]), 4096, 4096);
    const begin = decodeWith(lz4, batchOf([cut]), 4096, 4096, wanted);
    if (begin.bad < 0) survivors++;
    if (whole.bad >= 0) continue;
    if (begin.bad >= 0) t.fail(`case ${i}: refused, but the whole is not`);
    else if (!begin.out.equals(whole.out.subarray(0, wanted))) t.fail(`case ${i}: other bytes`);
  }
  t.ok(survivors > 600 && survivors < 4500, `${survivors} of 6000 decoded`);
  t.equal(decodeWith(lz4, batchOf([encodeBlock('lz4', Buffer.alloc(99))]), 512, 512, 100).bad, 0);
  t.end();
});

await test('zstd and the portable decoders cannot stop in a block', (t) => {
  for (const make of [...DECODERS.zstd, () => createPortableDecoder('lz4')]) {
    t.equal(make().canDecodeBegin, false);
  }
  t.end();
});

await test('lz4: a raw block with its size before it is bad', (t) => {
  t.equal(decode('lz4', [compressSync(Buffer.alloc(4096))], 4096).bad, 0);
  t.end();
});

await test('lz4: a block that needs more output than the destination has is bad', (t) => {
  // A literal, then a match of 15 + 255 * 200 + 4 bytes.
  const bomb = Buffer.concat([
    Buffer.from('1f410100', 'hex'),
    Buffer.alloc(200, 0xff),
    Buffer.of(0, 0),
  ]);
  t.equal(decode('lz4', [bomb], 512).bad, 0);
  t.end();
});

await test('lz4: a match before the start of the output is bad', (t) => {
  t.equal(decode('lz4', [Buffer.from('1f41ff7f0050414141414141', 'hex')], 512).bad, 0);
  t.end();
});

await test('zstd: a frame that claims or contains far more than a block is bad', (t) => {
  // Magic, single segment with an 8-byte content size of 2^60, one empty raw last block.
  const claim = Buffer.from('28b52ffde00000000000000010010000', 'hex');
  t.equal(decode('zstd', [claim], 4096).bad, 0);
  const bomb = compress(Buffer.alloc(64 << 20));
  const before = process.memoryUsage().rss;
  t.equal(decode('zstd', [bomb], 65_536).bad, 0);
  t.ok(process.memoryUsage().rss - before < 32 << 20, 'no memory was allocated for it');
  t.end();
});

await test('zstd: a window larger than the block is accepted', (t) => {
  // A 128 MiB window and one run-length block of 4096 zeros.
  const frame = Buffer.from('28b52ffd008803800000', 'hex');
  const { bad, out } = decode('zstd', [frame], 4096);
  t.equal(bad, -1);
  t.ok(out.equals(Buffer.alloc(4096)));
  t.end();
});

await test('zstd: a frame that needs a dictionary is bad', (t) => {
  const frame = encodeBlock('zstd', textBytes(1, 4096));
  const named = Buffer.concat([
    frame.subarray(0, 4),
    Buffer.of((frame[4] ?? 0) | 1, 7),
    frame.subarray(5),
  ]);
  t.equal(decode('zstd', [named], 4096).bad, 0);
  t.end();
});

await test("an environment variable disables the system's libraries", (t) => {
  const name = 'OVERLAYBD_NBD_PORTABLE_CODECS';
  const before = process.env[name];
  t.teardown(() => {
    if (before === undefined) delete process.env[name];
    else process.env[name] = before;
  });
  process.env[name] = '1';
  t.same(codecsInUse(), { lz4: 'lz4-napi', zstd: 'zstd-napi' });
  t.equal(createDecoder('lz4').constructor, createPortableDecoder('lz4').constructor);
  process.env[name] = '0';
  const version = { lz4: codecs.version(CODEC_LZ4), zstd: codecs.version(CODEC_ZSTD) };
  t.same(codecsInUse(), {
    lz4: version.lz4 === '' ? 'lz4-napi' : `liblz4 ${version.lz4}`,
    zstd: version.zstd === '' ? 'zstd-napi' : `libzstd ${version.zstd}`,
  });
  t.equal(
    createDecoder('zstd').constructor.name,
    version.zstd === '' ? 'PortableDecoder' : 'NativeDecoder',
  );
  t.end();
});
