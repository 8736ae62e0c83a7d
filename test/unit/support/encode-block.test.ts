// One compressed block: it can be decoded, and has no frame or prefix of its own.
import { test } from 'tap';
import { uncompressSync } from 'lz4-napi';
import { decompress } from 'zstd-napi';
import type { Algorithm } from '../../../daemon/codec/algorithm.js';
import { encodeBlock } from '../../support/encode-block.js';
import { randomBytes, textBytes } from '../../support/pattern.js';

function decode(algorithm: Algorithm, block: Buffer, size: number): Buffer {
  if (algorithm === 'zstd') return decompress(block);
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32LE(size);
  return uncompressSync(Buffer.concat([prefix, block]));
}

for (const algorithm of ['lz4', 'zstd'] as const) {
  await test(`${algorithm}: blocks decode to the original bytes`, async (t) => {
    for (const size of [1, 511, 512, 4096, 65536]) {
      for (const raw of [Buffer.alloc(size), textBytes(size, size), randomBytes(size, size)]) {
        t.ok(decode(algorithm, encodeBlock(algorithm, raw), size).equals(raw), `${size} bytes`);
      }
    }
  });

  await test(`${algorithm}: a view into a larger buffer compresses only itself`, async (t) => {
    const all = textBytes(3, 9000);
    const view = new Uint8Array(all.buffer, all.byteOffset + 1000, 4096);
    t.ok(decode(algorithm, encodeBlock(algorithm, view), 4096).equals(all.subarray(1000, 5096)));
  });

  await test(`${algorithm}: a block does not change when the next is made`, async (t) => {
    const first = encodeBlock(algorithm, textBytes(1, 4096));
    const copy = Buffer.from(first);
    encodeBlock(algorithm, randomBytes(2, 4096));
    t.ok(first.equals(copy));
  });

  await test(`${algorithm}: incompressible input grows, text shrinks`, async (t) => {
    t.ok(encodeBlock(algorithm, randomBytes(9, 4096)).length > 4096);
    t.ok(encodeBlock(algorithm, textBytes(9, 4096)).length < 1024);
  });

  await test(`${algorithm}: an empty block is refused`, async (t) => {
    t.throws(() => encodeBlock(algorithm, Buffer.alloc(0)), {
      message: `${algorithm} block: empty, a block has at least 1 byte`,
    });
  });
}

await test('lz4: ten equal bytes are one raw block without a size before it', async (t) => {
  t.equal(encodeBlock('lz4', Buffer.alloc(10, 'A')).toString('hex'), `a0${'41'.repeat(10)}`);
});

await test('zstd: a frame that states its size, as single-segment frames do', async (t) => {
  t.equal(encodeBlock('zstd', textBytes(1, 4096)).toString('hex', 0, 7), '28b52ffd60000f');
});
