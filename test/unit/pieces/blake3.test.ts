// BLAKE3 against another implementation, and against a digest that its authors published.
import { blake3 } from '@noble/hashes/blake3.js';
import { test } from 'tap';
import { Blake3 } from '../../../daemon/pieces/blake3.js';
import { randomBytes } from '../../support/pattern.js';

function digestOf(bytes: Uint8Array, step: number): string {
  const hash = new Blake3(bytes);
  for (;;) {
    const digest = hash.step(step);
    if (digest) return Buffer.from(digest).toString('hex');
  }
}

await test('no bytes', (t) => {
  const empty = 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262';
  t.equal(digestOf(new Uint8Array(), 1), empty);
  t.end();
});

await test('blocks, chunks and trees of all shapes, in steps', (t) => {
  const around = [0, 64, 1024, 2048, 3072, 4096, 5120, 7168, 8192, 16_384, 31_744, 65_536, 102_400];
  const all = randomBytes(1, 110_000);
  for (const size of around.flatMap((each) => [each - 1, each, each + 1])) {
    if (size < 0) continue;
    // Not at a multiple of 4 of its memory.
    const bytes = all.subarray(3, 3 + size);
    const expected = Buffer.from(blake3(bytes)).toString('hex');
    for (const step of [1, 5, 1000]) t.equal(digestOf(bytes, step), expected, `${size} bytes`);
  }
  t.end();
});
