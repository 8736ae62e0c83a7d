// Frames of zstd: where they end, and what is taken of them.
import { compress } from 'zstd-napi';
import { test } from 'tap';
import {
  createDecoder,
  createPortableZstdBeginDecoder,
  createZstdBeginDecoder,
  decodeElsewhere,
  portableElsewhere,
} from '../../../daemon/codec/decoder.js';
import { decodeFrames, decodeFramesElsewhere } from '../../../daemon/pieces/zstd-frames.js';
import { randomBytes, textBytes } from '../../support/pattern.js';

const exact = createDecoder('zstd');
const decoders = [
  { exact, begin: createZstdBeginDecoder() },
  { exact, begin: createPortableZstdBeginDecoder() },
];
const plain = Buffer.concat([
  textBytes(1, 200_000),
  randomBytes(2, 200_000),
  Buffer.alloc(300_000),
]);
const skippable = Buffer.concat([Buffer.from('502a4d1803000000', 'hex'), Buffer.from('abc')]);

/** The same frame without its content size, as streaming compressors write it: with a window instead. */
function withoutSize(bytes: Buffer): Buffer {
  const frame = Buffer.from(compress(bytes));
  const descriptor = frame[4] as number;
  const sizes = [1, 2, 4, 8];
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const size = descriptor >>> 6 === 0 && !isSingleSegment ? 0 : (sizes[descriptor >>> 6] as number);
  const from = 5 + (isSingleSegment ? 0 : 1) + size;
  // A window of 1 MiB.
  const head = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, descriptor & 0x04, 0x50]);
  return Buffer.concat([head, frame.subarray(from)]);
}

await test('the first bytes of frames', async (t) => {
  const one = compress(plain);
  const stored: [string, Buffer][] = [
    ['one frame', one],
    ['what follows is another frame', Buffer.concat([one, compress(randomBytes(3, 900))])],
    [
      'several frames',
      Buffer.concat([compress(plain.subarray(0, 5)), compress(plain.subarray(5))]),
    ],
    ['a skippable frame', Buffer.concat([skippable, one])],
    ['what follows is not a frame', Buffer.concat([one, randomBytes(4, 50)])],
    ['no content size', withoutSize(plain)],
    ['a longer frame', compress(Buffer.concat([plain, randomBytes(5, 900)]))],
  ];
  for (const each of decoders) {
    for (const [name, bytes] of stored) {
      t.ok(isPlain(decodeFrames(bytes, plain.length, each)), name);
    }
  }
  for (const each of [decodeElsewhere, portableElsewhere]) {
    for (const [name, bytes] of stored) {
      t.ok(isPlain(await decodeFramesElsewhere(bytes, plain.length, each)), `elsewhere: ${name}`);
    }
  }
});

await test('fewer bytes, or none', async (t) => {
  const one = compress(plain);
  const changed = Buffer.from(one);
  changed[0] = 0;
  for (const each of decoders) {
    t.equal(decodeFrames(one, plain.length + 1, each), null);
    t.equal(decodeFrames(one.subarray(0, -200_000), plain.length, each), null);
    t.equal(decodeFrames(changed, plain.length, each), null);
    t.equal(decodeFrames(Buffer.alloc(0), 1, each), null);
    t.equal(decodeFrames(skippable, 1, each), null);
    t.equal(decodeFrames(withoutSize(plain).subarray(0, 1000), plain.length, each), null);
  }
  for (const each of [decodeElsewhere, portableElsewhere]) {
    for (const bytes of [one.subarray(0, -200_000), changed, Buffer.alloc(0), skippable]) {
      t.equal(await decodeFramesElsewhere(bytes, plain.length, each), null);
    }
    t.equal(await decodeFramesElsewhere(one, plain.length + 1, each), null);
  }
});

await test('the thread does other work while a long frame is decoded', async (t) => {
  const stored = compress(Buffer.concat([plain, plain, plain, plain]));
  for (const each of [decodeElsewhere, portableElsewhere]) {
    const order: string[] = [];
    // What is decoded at once has settled before: promises come before ticks.
    process.nextTick(() => order.push('other work'));
    const decoding = decodeFramesElsewhere(stored, 4 * plain.length, each);
    await decoding.then(() => order.push('decoded'));
    t.same(order, ['other work', 'decoded']);
  }
});

function isPlain(bytes: Uint8Array | null): boolean {
  return bytes !== null && Buffer.compare(bytes, plain) === 0;
}
