// The batch decoders alone: whatever bytes they get, they say which block is bad and never write outside their place.
import { compressSync } from 'lz4-napi';
import { compress } from 'zstd-napi';
import { test } from 'tap';
import type { Algorithm } from '../../../daemon/codec/algorithm.js';
import { createDecoder, DECODE_HEADROOM, type Batch } from '../../../daemon/codec/decoder.js';
import { encodeBlock } from '../../../daemon/codec/encode.js';
import { randomBytes, seededRandom, textBytes } from '../../support/pattern.js';

const GUARD = 0xa7;
const ALGORITHMS = ['lz4', 'zstd'] as const;

function batchOf(blocks: readonly Uint8Array[], trailerSize = 0): Batch {
  const bounds = new Uint32Array(blocks.length + 1);
  for (const [i, { length }] of blocks.entries()) {
    bounds[i + 1] = (bounds[i] as number) + length + trailerSize;
  }
  const parts = blocks.flatMap((block) => [block, Buffer.alloc(trailerSize, 0xcc)]);
  const src = Buffer.concat([Buffer.alloc(DECODE_HEADROOM), ...parts]);
  return { src, base: DECODE_HEADROOM, bounds, trailerSize };
}

/** Decodes all blocks between guard bytes. @returns what the decoder said, and what came out */
function decode(
  algorithm: Algorithm,
  blocks: readonly Uint8Array[],
  blockSize: number,
  lastSize = blockSize,
  trailerSize = 0,
): { bad: number; out: Buffer } {
  const size = (blocks.length - 1) * blockSize + lastSize;
  const dst = Buffer.alloc(size + 128, GUARD);
  const batch = batchOf(blocks, trailerSize);
  const bad = createDecoder(algorithm).decode(
    batch,
    0,
    blocks.length,
    dst,
    64,
    blockSize,
    lastSize,
  );
  const guards = Buffer.concat([dst.subarray(0, 64), dst.subarray(64 + size)]);
  if (!guards.equals(Buffer.alloc(128, GUARD))) throw new Error('wrote outside its place');
  return { bad, out: dst.subarray(64, 64 + size) };
}

for (const algorithm of ALGORITHMS) {
  await test(`${algorithm}: a batch comes out one behind the other`, (t) => {
    const raw = [textBytes(1, 4096), randomBytes(2, 4096), Buffer.alloc(4096), textBytes(3, 77)];
    const blocks = raw.map((each) => encodeBlock(algorithm, each));
    for (const trailerSize of [0, 4]) {
      const { bad, out } = decode(algorithm, blocks, 4096, 77, trailerSize);
      t.equal(bad, -1);
      t.ok(out.equals(Buffer.concat(raw)), `${trailerSize} bytes behind each block`);
    }
    t.end();
  });

  await test(`${algorithm}: a part of a batch leaves the rest alone`, (t) => {
    const raw = [textBytes(1, 512), textBytes(2, 512), textBytes(3, 512), textBytes(4, 512)];
    const batch = batchOf(raw.map((each) => encodeBlock(algorithm, each)));
    const dst = Buffer.alloc(1024);
    t.equal(createDecoder(algorithm).decode(batch, 1, 2, dst, 0, 512, 512), -1);
    t.ok(dst.equals(Buffer.concat(raw.slice(1, 3))));
    t.end();
  });

  await test(`${algorithm}: blocks that decode short or long are bad, and which one is told`, (t) => {
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

  await test(`${algorithm}: garbage is bad, never a crash, and the decoder goes on working`, (t) => {
    const decoder = createDecoder(algorithm);
    const good = encodeBlock(algorithm, textBytes(1, 4096));
    const next = seededRandom(42);
    let survivors = 0;
    for (let i = 0; i < 3000; i++) {
      const block = i % 3 === 0 ? randomBytes(i, 1 + (next() % 600)) : Buffer.from(good);
      if (i % 3 === 1) block[next() % block.length] = next();
      const cut = i % 3 === 2 ? block.subarray(0, next() % block.length || 1) : block;
      const dst = Buffer.alloc(4096 + 64, GUARD);
      const bad = decoder.decode(batchOf([cut]), 0, 1, dst, 0, 4096, 4096);
      if (bad === -1) survivors++;
      if (!dst.subarray(4096).equals(Buffer.alloc(64, GUARD)))
        throw new Error(`case ${i}: overrun`);
    }
    // A changed literal still decodes; nothing cut or random may.
    t.ok(survivors < 1000, `${survivors} blocks decoded`);
    const dst = Buffer.alloc(4096);
    t.equal(decoder.decode(batchOf([good]), 0, 1, dst, 0, 4096, 4096), -1);
    t.ok(dst.equals(textBytes(1, 4096)));
    t.end();
  });

  await test(`${algorithm}: blocks of a few bytes`, (t) => {
    const tiny = [0, 1, 2, 0x28, 0xff].map((byte) => Buffer.of(byte));
    for (const block of tiny)
      t.equal(decode(algorithm, [block], 512).bad, 0, block.toString('hex'));
    t.end();
  });
}

await test('lz4: a raw block with its own size in front is not one', (t) => {
  t.equal(decode('lz4', [compressSync(Buffer.alloc(4096))], 4096).bad, 0);
  t.end();
});

await test('lz4: a block that asks for more output than there is room', (t) => {
  // A literal, then a match of 15 + 255 * 200 + 4 bytes.
  const bomb = Buffer.concat([
    Buffer.from('1f410100', 'hex'),
    Buffer.alloc(200, 0xff),
    Buffer.of(0, 0),
  ]);
  t.equal(decode('lz4', [bomb], 512).bad, 0);
  t.end();
});

await test('lz4: a match that points before the block', (t) => {
  t.equal(decode('lz4', [Buffer.from('1f41ff7f0050414141414141', 'hex')], 512).bad, 0);
  t.end();
});

await test('zstd: a frame that claims or holds far more than a block', (t) => {
  // Magic, single segment with an 8-byte content size of 2^60, one empty raw last block.
  const claim = Buffer.from('28b52ffde00000000000000010010000', 'hex');
  t.equal(decode('zstd', [claim], 4096).bad, 0);
  const bomb = compress(Buffer.alloc(64 << 20));
  const before = process.memoryUsage().rss;
  t.equal(decode('zstd', [bomb], 65_536).bad, 0);
  t.ok(process.memoryUsage().rss - before < 32 << 20, 'nothing was made for it');
  t.end();
});

await test('zstd: a window larger than the block, without a content size, is no matter', (t) => {
  // A 128 MiB window and one run-length block of 4096 zeros.
  const frame = Buffer.from('28b52ffd008803800000', 'hex');
  const { bad, out } = decode('zstd', [frame], 4096);
  t.equal(bad, -1);
  t.ok(out.equals(Buffer.alloc(4096)));
  t.end();
});

await test('zstd: a frame with a dictionary that we do not have is bad', (t) => {
  const frame = encodeBlock('zstd', textBytes(1, 4096));
  const named = Buffer.concat([
    frame.subarray(0, 4),
    Buffer.of((frame[4] ?? 0) | 1, 7),
    frame.subarray(5),
  ]);
  t.equal(decode('zstd', [named], 4096).bad, 0);
  t.end();
});
