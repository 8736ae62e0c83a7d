// The beginning of gzip members.
import { gzipSync } from 'node:zlib';
import { test } from 'tap';
import { inflateBegin } from '../../../daemon/pieces/gzip-member.js';
import { randomBytes, textBytes } from '../../support/pattern.js';

for (const size of [1, 1000, 65_536, 65_537, 1_000_000]) {
  const plain = textBytes(1, size);
  await test(`${size} bytes`, async (t) => {
    const whole = gzipSync(plain);
    const rests = [Buffer.alloc(0), gzipSync(randomBytes(2, 500)), Buffer.alloc(100)];
    for (const rest of rests) {
      t.same(await inflateBegin(Buffer.concat([whole, rest]), size, false), plain);
    }
    const longer = gzipSync(Buffer.concat([plain, Buffer.alloc(300_000)]));
    t.same(await inflateBegin(longer, size, false), plain, 'the member goes on');
    const most = gzipSync(Buffer.concat([plain, randomBytes(4, 300_000)]));
    t.same(await inflateBegin(most.subarray(0, -1000), size, true), plain, 'it is cut later');
    t.ok((await inflateBegin(whole, size + 10, true)).length <= size, 'it has fewer');
    await t.rejects(inflateBegin(randomBytes(5, 300), size, true), { code: 'Z_DATA_ERROR' });
  });
}

await test('a checksum counts where there is no digest', async (t) => {
  const plain = textBytes(1, 5000);
  const bytes = gzipSync(plain);
  const at = bytes.length - 8;
  bytes[at] = (bytes[at] as number) ^ 1;
  t.same(await inflateBegin(bytes, 5000, true), plain);
  await t.rejects(inflateBegin(bytes, 5000, false), { code: 'Z_DATA_ERROR' });
});
