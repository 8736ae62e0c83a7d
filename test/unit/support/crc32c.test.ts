// The JavaScript CRC-32C compared with published values and with sums that the reference stored.
import { test } from 'tap';
import { rawCrc32c, standardCrc32c } from '../../support/crc32c.js';

await test('the standard form gives the published check values', async (t) => {
  t.equal(standardCrc32c(Buffer.from('123456789')), 0xe3069283);
  t.equal(standardCrc32c(Buffer.alloc(32)), 0x8a9136aa);
  t.equal(standardCrc32c(Buffer.alloc(32, 0xff)), 0x62a8ab43);
  t.equal(standardCrc32c(Buffer.alloc(0)), 0);
});

await test('the raw form loads the seed and returns the register', async (t) => {
  t.equal(rawCrc32c(Buffer.alloc(0), 100007), 100007);
  t.equal(rawCrc32c(Buffer.alloc(64)), 0);
  // A stored block of an LZ4 ZFile that the reference wrote (4096 zero bytes), and the checksum that follows it.
  const block = Buffer.from(`1f000100${'ff'.repeat(15)}f6500000000000`, 'hex');
  t.equal(rawCrc32c(block, 100007), 0xb4911724);
});

await test('a sum can be continued', async (t) => {
  const bytes = Buffer.from('the quick brown fox');
  t.equal(
    rawCrc32c(bytes.subarray(7), rawCrc32c(bytes.subarray(0, 7), 100007)),
    rawCrc32c(bytes, 100007),
  );
});
