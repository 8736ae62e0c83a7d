// Streams of the addon: frames in any pieces, bad data, streams that are closed. Skipped without libzstd.
import t from 'tap';
import { CODEC_ZSTD, codecs } from '../../../daemon/native/block-decoder.js';
import {
  ZSTD_BAD_DATA,
  ZSTD_FRAME_END,
  ZSTD_MORE,
  zstdStreams,
} from '../../../daemon/native/zstd-stream.js';
import { encodeBlock } from '../../support/encode-block.js';
import { textBytes } from '../../support/pattern.js';

const skip = codecs.version(CODEC_ZSTD) === '' ? 'no libzstd on this machine' : false;
const PLAIN = textBytes(1, 100_000);
const EBADF = 9;

await t.test('frames in small pieces, one after another', { skip }, async (test) => {
  const stored = Buffer.concat([encodeBlock('zstd', PLAIN), encodeBlock('zstd', PLAIN)]);
  const stream = zstdStreams.open();
  const out = Buffer.alloc(777);
  const progress = new Int32Array(2);
  const parts: Buffer[] = [];
  const ends: number[] = [];
  for (let at = 0; at < stored.length || ends.length < 2;) {
    const n = Math.min(333, stored.length - at);
    const stop = zstdStreams.run(stream, stored, at, n, out, 0, 777, progress);
    const [consumed = 0, produced = 0] = progress;
    parts.push(Buffer.from(out.subarray(0, produced)));
    at += consumed;
    if (stop === ZSTD_FRAME_END) ends.push(at);
    else test.equal(stop, ZSTD_MORE);
  }
  test.ok(Buffer.concat(parts).equals(Buffer.concat([PLAIN, PLAIN])));
  test.same(ends, [stored.length / 2, stored.length]);
  test.equal(zstdStreams.close(stream), 0);
});

await t.test('bad data, and a stream that is closed', { skip }, async (test) => {
  const stream = zstdStreams.open();
  const out = Buffer.alloc(100);
  const progress = new Int32Array(2);
  const run = (): number =>
    zstdStreams.run(stream, Buffer.alloc(50, 7), 0, 50, out, 0, 100, progress);
  test.equal(run(), ZSTD_BAD_DATA);
  test.equal(zstdStreams.close(stream), 0);
  test.equal(zstdStreams.close(stream), -EBADF);
  test.equal(run(), -EBADF);
});
