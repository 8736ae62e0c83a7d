import { test } from 'tap';
import { createHash } from 'node:crypto';
import { digestOf } from '../../../daemon/pieces/digest.js';
import { randomBytes } from '../../support/pattern.js';

/** From the test vectors of BLAKE3: the input is 0, 1, ... 250, 0, 1, ... */
const VECTORS: [length: number, digest: string][] = [
  [0, 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262'],
  [1, '2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213'],
  [1024, '42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7'],
  [102_400, 'bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085'],
];

await test('BLAKE3', async (t) => {
  for (const [length, digest] of VECTORS) {
    const bytes = Uint8Array.from({ length }, (_, i) => i % 251);
    t.equal(Buffer.from(await digestOf('blake3', bytes)).toString('hex'), digest, `${length}`);
  }
});

await test('SHA-256, here and elsewhere', async (t) => {
  for (const length of [0, 1000, 300_000]) {
    const bytes = randomBytes(length, length);
    const expected = createHash('sha256').update(bytes).digest();
    t.same(Buffer.from(await digestOf('sha256', bytes)), expected, `${length}`);
  }
});
