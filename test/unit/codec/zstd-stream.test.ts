// Both decoders of streams give the same bytes in the same steps.
import { compress } from 'zstd-napi';
import { test } from 'tap';
import {
  NativeZstdStream,
  PortableZstdStream,
  type ZstdStream,
} from '../../../daemon/codec/zstd-stream.js';
import { CODEC_ZSTD, codecs } from '../../../daemon/native/block-decoder.js';
import { textBytes } from '../../support/pattern.js';

const PLAIN = textBytes(1, 50_000);

const noLibrary = codecs.version(CODEC_ZSTD) === '' ? 'no libzstd on this machine' : false;
const KINDS: [name: string, skip: string | false, make: () => ZstdStream][] = [
  ['library', noLibrary, () => new NativeZstdStream()],
  ['package', false, () => new PortableZstdStream()],
];

for (const [name, skip, make] of KINDS) {
  await test(`${name}: frames in small steps`, { skip }, (t) => {
    const stored = Buffer.concat([compress(PLAIN), compress(PLAIN)]);
    const stream = make();
    const room = Buffer.alloc(1000);
    const plain: Buffer[] = [];
    const ends: number[] = [];
    for (let at = 0; ends.length < 2;) {
      const step = stream.step(stored.subarray(at, at + 700), room);
      if (!step) throw new Error('not valid');
      plain.push(Buffer.from(room.subarray(0, step.produced)));
      at += step.consumed;
      if (step.isFrameEnd) ends.push(at);
    }
    t.ok(Buffer.concat(plain).equals(Buffer.concat([PLAIN, PLAIN])));
    t.same(ends, [stored.length / 2, stored.length]);
    t.match(stream.step(Buffer.alloc(0), room), { consumed: 0, produced: 0, isFrameEnd: false });
    t.equal(stream.step(Buffer.alloc(100, 7), room), null);
    stream.close();
    t.end();
  });
}
