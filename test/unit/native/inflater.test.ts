// Inflating that stops at blocks: positions, windows, ends of members, and what is wrong.
import { test, type Test } from 'tap';
import { gzipSync, inflateRawSync } from 'node:zlib';
import {
  INFLATE_BAD_DATA,
  INFLATE_MEMBER_END,
  INFLATE_MORE,
  INFLATE_WINDOW,
  inflaters,
} from '../../../daemon/native/inflater.js';
import { textBytes } from '../../support/pattern.js';

const PLAIN = textBytes(1, 100_000);
const EBADF = -9;

function opened(t: Test): number {
  const inflater = inflaters.open();
  t.ok(inflater > 0);
  t.teardown(() => inflaters.close(inflater));
  return inflater;
}

await test('members one after the other, in pieces', async (t) => {
  const stored = Buffer.concat([gzipSync(PLAIN), gzipSync(PLAIN.subarray(0, 1000))]);
  const inflater = opened(t);
  const out = Buffer.alloc(777);
  const progress = new Int32Array(4);
  const parts: Buffer[] = [];
  const ends: number[] = [];
  for (let at = 0; at < stored.length;) {
    const n = Math.min(333, stored.length - at);
    const stop = inflaters.run(inflater, stored, at, n, out, 0, 777, 0, progress);
    const [consumed = 0, produced = 0] = progress;
    parts.push(Buffer.from(out.subarray(0, produced)));
    at += consumed;
    if (stop === INFLATE_MEMBER_END) ends.push(at);
    else t.equal(stop, INFLATE_MORE);
  }
  t.ok(Buffer.concat(parts).equals(Buffer.concat([PLAIN, PLAIN.subarray(0, 1000)])));
  t.same(ends, [gzipSync(PLAIN).length, stored.length]);
});

await test('at a block, the rest of the stream can be inflated with the window', async (t) => {
  const stored = gzipSync(PLAIN, { memLevel: 1 });
  const inflater = opened(t);
  const out = Buffer.alloc(PLAIN.length);
  const progress = new Int32Array(4);
  const window = Buffer.alloc(INFLATE_WINDOW);
  let at = 0;
  let made = 0;
  let blocks = 0;
  let wholeBytes = 0;
  for (let stop = INFLATE_MORE; stop === INFLATE_MORE;) {
    stop = inflaters.run(
      inflater,
      stored,
      at,
      stored.length - at,
      out,
      made,
      out.length - made,
      1,
      progress,
    );
    const [consumed = 0, produced = 0, atBlock, bits] = progress;
    at += consumed;
    made += produced;
    if (stop !== INFLATE_MORE || atBlock === 0) continue;
    blocks++;
    const length = inflaters.window(inflater, window);
    t.ok(window.subarray(0, length).equals(out.subarray(Math.max(0, made - INFLATE_WINDOW), made)));
    if (bits !== 0) continue;
    wholeBytes++;
    const rest = stored.subarray(at, stored.length - 8);
    const dictionary = window.subarray(0, length);
    t.ok(inflateRawSync(rest, { dictionary }).equals(PLAIN.subarray(made)));
  }
  t.equal(made, PLAIN.length);
  t.ok(blocks > 20, `${blocks} blocks`);
  t.ok(wholeBytes > 0);
});

await test('bad data, a wrong checksum, and what is not gzip', async (t) => {
  const out = Buffer.alloc(PLAIN.length + 1);
  const progress = new Int32Array(4);
  const stop = (change: (bytes: Buffer) => void): number => {
    const stored = gzipSync(PLAIN);
    change(stored);
    const inflater = opened(t);
    return inflaters.run(inflater, stored, 0, stored.length, out, 0, out.length, 0, progress);
  };
  t.equal(
    stop(() => undefined),
    INFLATE_MEMBER_END,
  );
  t.equal(
    stop((bytes) => bytes.writeUInt32LE(1, bytes.length - 8)),
    INFLATE_BAD_DATA,
  );
  t.equal(
    stop((bytes) => bytes.fill(0xff, 100, 200)),
    INFLATE_BAD_DATA,
  );
  t.equal(
    stop((bytes) => bytes.fill(0x20, 0, 2)),
    INFLATE_BAD_DATA,
  );
});

await test('one that was closed, and too little room', async (t) => {
  const inflater = inflaters.open();
  t.equal(inflaters.close(inflater), 0);
  t.equal(inflaters.close(inflater), EBADF);
  const bytes = Buffer.alloc(16);
  t.equal(inflaters.run(inflater, bytes, 0, 16, bytes, 0, 16, 0, new Int32Array(4)), EBADF);
  t.equal(inflaters.window(inflater, Buffer.alloc(INFLATE_WINDOW)), EBADF);
  t.throws(() => inflaters.window(inflater, bytes), RangeError);
  t.throws(
    () => inflaters.run(inflater, bytes, 0, 16, bytes, 0, 16, 0, new Int32Array(3)),
    RangeError,
  );
});
