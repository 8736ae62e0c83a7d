// The bound of stored bytes has room for what compressors make of bytes that do not shrink.
import { deflateRawSync, gzipSync } from 'node:zlib';
import { test } from 'tap';
import { MAX_DECODED_BYTES, mostStored } from '../../../daemon/pieces/limits.js';
import { randomBytes } from '../../support/pattern.js';

await test('bytes that do not shrink fit, and the bound stays near them', (t) => {
  for (const size of [0, 1, 512, 65_535, 65_536, 1 << 20]) {
    const bytes = randomBytes(size, size);
    for (const level of [0, 1, 9]) {
      for (const stored of [gzipSync(bytes, { level }), deflateRawSync(bytes, { level })]) {
        t.ok(stored.length <= mostStored(size), `${size} bytes, level ${level}`);
      }
    }
  }
  t.ok(mostStored(MAX_DECODED_BYTES) < 3 * MAX_DECODED_BYTES, 'memory is taken for so many');
  t.end();
});
