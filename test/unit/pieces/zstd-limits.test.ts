// What an archive in zstd may demand: the last that is allowed, and the first that is not.
import { test } from 'tap';
import { ZstdLimits } from '../../../daemon/pieces/zstd-limits.js';

await test('frames', (t) => {
  const limits = new ZstdLimits('layer');
  for (let i = 0; i < 8_000_000; i++) limits.frame(i);
  const message = 'layer: zstd at byte 77: expected at most 8000000 frames, got more';
  t.throws(() => limits.frame(77), { code: 'LIMIT', message });
  t.end();
});

await test('stored bytes without a plain one', (t) => {
  const limits = new ZstdLimits('layer');
  limits.decoded(0, 32 << 20, 0);
  limits.decoded(32 << 20, 9, 1);
  limits.decoded(0, (32 << 20) - 1, 0);
  limits.decoded(0, 1, 0);
  const message =
    'layer: zstd at byte 5: expected at most 33554432 stored bytes without a plain one, got 33554433';
  t.throws(() => limits.decoded(5, 1, 0), { code: 'LIMIT', message });
  t.end();
});

await test('stored bytes of a piece', (t) => {
  const limits = new ZstdLimits('layer');
  limits.piece(0, 65_538, 1);
  const message =
    'layer: zstd at byte 3: expected at most 65538 stored bytes for 1 plain ones, got 65539';
  t.throws(() => limits.piece(3, 65_539, 1), { code: 'LIMIT', message });
  t.end();
});

/** The header of a frame. */
function head(...bytes: number[]): Buffer {
  return Buffer.from([0x28, 0xb5, 0x2f, 0xfd, ...bytes]);
}

await test('windows', (t) => {
  const limits = new ZstdLimits('layer');
  limits.window(0, head(0, 17 << 3));
  limits.window(0, head(0xa0, 0, 0, 0, 8));
  t.throws(() => limits.window(9, head(0, (17 << 3) + 1)), {
    code: 'LIMIT',
    message:
      /^layer: zstd at byte 9: expected frames with a window of at most 134217728 bytes .*, got 150994944$/,
  });
  t.throws(() => limits.window(0, head(0xa0, 1, 0, 0, 8)), {
    code: 'LIMIT',
    message: /134217729$/,
  });
  t.throws(() => limits.window(0, head()), { code: 'BAD_DATA', message: /the header of a zstd/ });
  t.end();
});
