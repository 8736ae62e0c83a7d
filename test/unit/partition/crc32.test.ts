// The CRC-32 of partition tables: compared with the published check value and with zlib.
import { crc32 as crc32OfZlib } from 'node:zlib';
import { test } from 'tap';
import { crc32 } from '../../../daemon/partition/crc32.js';
import { randomBytes } from '../../support/pattern.js';

await test('the check value of CRC-32, and the CRC of no bytes', (t) => {
  t.equal(crc32(Buffer.from('123456789')), 0xcbf4_3926);
  t.equal(crc32(Buffer.alloc(0)), 0);
  t.end();
});

await test('same results as zlib, for lengths around word boundaries', (t) => {
  for (const length of [1, 3, 4, 5, 16, 92, 512, 16_384]) {
    const bytes = randomBytes(length, length);
    t.equal(crc32(bytes), crc32OfZlib(bytes), `${length} bytes`);
  }
  t.end();
});
