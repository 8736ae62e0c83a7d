import { test } from 'tap';
import { VerityHash } from '../../../daemon/composefs/fs-verity.js';
import { fsVerity } from '../../support/composefs-writer.js';
import { randomBytes } from '../../support/pattern.js';

function digest(bytes: Buffer, piece: number): string {
  const hash = new VerityHash();
  for (let at = 0; at < bytes.length; at += piece) hash.update(bytes.subarray(at, at + piece));
  return hash.digest().toString('hex');
}

await test('the digest of an empty file is the one of fsverity(1)', (t) => {
  const expected = '3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95';
  t.equal(digest(Buffer.alloc(0), 4096), expected);
  t.end();
});

await test('digests of one to three levels, at their borders', (t) => {
  // 128 digests fill a block: 512 KiB, and 64 MiB for two levels.
  const sizes = [1, 4095, 4096, 4097, 8192, 524_287, 524_288, 524_289, 528_385, 3_000_001];
  for (const size of sizes) {
    const bytes = randomBytes(size, size);
    t.equal(digest(bytes, 65_536), fsVerity(bytes).toString('hex'), `${size} bytes`);
  }
  const large = Buffer.concat([Buffer.alloc(64 << 20, 7), Buffer.from('x')]);
  t.equal(digest(large, 1 << 20), fsVerity(large).toString('hex'), 'a fourth level');
  t.end();
});
