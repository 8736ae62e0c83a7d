// The state file: what is written is read back, and nothing else is a header or a record.
import * as fc from 'fast-check';
import { test } from 'tap';
import { CHUNK_SIZE } from '../../../daemon/blob/chunk-map.js';
import {
  decodeHeader,
  encodeHeader,
  RecordFormat,
  recordPosition,
  STATE_HEADER_SIZE,
  stateFileSize,
} from '../../../daemon/cache/state-file.js';
import { crc32c } from '../../../daemon/native/crc32c.js';
import { holds } from '../../support/holds.js';
import { usualOrLong } from '../../support/long-tests.js';
import { randomBytes } from '../../support/pattern.js';
import { SEED } from '../../support/seed.js';

fc.configureGlobal({ seed: SEED });

const DIGEST = `sha256:${'0123456789abcdef'.repeat(4)}`;
const HEADER = { digest: DIGEST, size: 2 ** 40 + 5, nonce: '00112233aabbccdd' };

await test('sizes and places', (t) => {
  t.equal(stateFileSize(0), STATE_HEADER_SIZE);
  t.equal(stateFileSize(1), STATE_HEADER_SIZE + 8);
  t.equal(stateFileSize(1 << 30), STATE_HEADER_SIZE + (128 << 10));
  t.equal(recordPosition(3), STATE_HEADER_SIZE + 24);
  t.end();
});

await test('a header is read back', (t) => {
  const bytes = encodeHeader(HEADER);
  t.equal(bytes.length, STATE_HEADER_SIZE);
  t.same(decodeHeader(bytes), HEADER);
  t.same(decodeHeader(Buffer.concat([bytes, randomBytes(1, 100)])), HEADER, 'with its records');
  t.equal(decodeHeader(bytes.subarray(1)), null);
  t.equal(decodeHeader(Buffer.alloc(0)), null);
  t.equal(decodeHeader(Buffer.alloc(STATE_HEADER_SIZE)), null);
  t.end();
});

await test('a header with any byte changed is none', async (t) => {
  const bytes = encodeHeader(HEADER);
  const change = fc.tuple(
    fc.oneof(fc.nat({ max: 80 }), fc.nat({ max: STATE_HEADER_SIZE - 1 })),
    fc.integer({ min: 1, max: 255 }),
  );
  await holds(
    t,
    fc.property(change, ([at, bits]) => {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ bits;
      return decodeHeader(changed) === null;
    }),
    { numRuns: usualOrLong(300, 1000) },
  );
});

await test('a header of another version with a right CRC is none', (t) => {
  for (const at of [8, 12]) {
    const bytes = encodeHeader(HEADER);
    bytes[at] = (bytes[at] ?? 0) + 1;
    const crc = crc32c(bytes, 0, 64, 0xffff_ffff);
    bytes.writeUInt32LE(crc32c(bytes, 68, STATE_HEADER_SIZE - 68, crc), 64);
    t.equal(decodeHeader(bytes), null);
  }
  const huge = encodeHeader(HEADER);
  huge.fill(0xff, 16, 24);
  const crc = crc32c(huge, 0, 64, 0xffff_ffff);
  huge.writeUInt32LE(crc32c(huge, 68, STATE_HEADER_SIZE - 68, crc), 64);
  t.equal(decodeHeader(huge), null, 'a size that no number holds');
  t.end();
});

await test('records', (t) => {
  const format = new RecordFormat(HEADER);
  for (const crc of [0, 1, 0xffff_ffff]) {
    const record = format.encode(crc);
    t.equal(format.decode(record, 0), crc);
    t.notSame(record, Buffer.alloc(8), 'never what a hole reads as');
    t.equal(new RecordFormat({ ...HEADER, nonce: '00112233aabbccde' }).decode(record, 0), -1);
  }
  t.equal(format.decode(Buffer.alloc(8), 0), -1);
  const zeroNonce = new RecordFormat({ ...HEADER, nonce: '0011223300000000' });
  t.equal(zeroNonce.decode(Buffer.alloc(8), 0), -1, 'also with this nonce');
  t.equal(zeroNonce.decode(zeroNonce.encode(0), 0), 0);
  t.end();
});

await test('zeros, and a chunk at a wrong place, do not match', (t) => {
  const format = new RecordFormat(HEADER);
  const zeros = Buffer.alloc(CHUNK_SIZE);
  const chunk = randomBytes(2, CHUNK_SIZE);
  const seeds = Array.from({ length: 2000 }, (_, i) => format.seed(i));
  t.equal(new Set(seeds).size, 2000, 'each chunk has a seed of its own');
  t.notOk(seeds.includes(0));
  const crcs = seeds.map((seed) => crc32c(zeros, 0, CHUNK_SIZE, seed));
  t.notOk(crcs.includes(0));
  const [a, b] = [3, 4].map((n) => crc32c(chunk, 0, CHUNK_SIZE, format.seed(n)));
  t.not(a, b);
  const other = new RecordFormat({ ...HEADER, digest: DIGEST.replace('0', '1') });
  t.not(other.seed(3), format.seed(3));
  t.end();
});
