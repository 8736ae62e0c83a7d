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

await test('with a digest, the fields of a header are skipped', async (t) => {
  const plain = textBytes(1, 100_000);
  const member = gzipSync(plain);
  const fields: [number, Buffer][] = [
    [4, Buffer.from([3, 0, 0, 8, 0])],
    [8, Buffer.from('name\0')],
    [16, Buffer.from('\0')],
    [2, Buffer.from([1, 2])],
  ];
  for (let flags = 0; flags < 16; flags++) {
    const chosen = fields.filter((_, i) => flags & (1 << i));
    const head = Buffer.from(member.subarray(0, 10));
    head[3] = chosen.reduce((sum, [flag]) => sum | flag, 0);
    const whole = Buffer.concat([head, ...chosen.map(([, bytes]) => bytes), member.subarray(10)]);
    t.same(await inflateBegin(whole, 100_000, true), plain);
    for (let end = 3; end < whole.length - member.length + 11; end++) {
      await t.rejects(inflateBegin(whole.subarray(0, end), 70_000, true).then(hasBytes), Error);
    }
  }
  const reserved = Buffer.from(member);
  reserved[3] = 0x20;
  await t.rejects(inflateBegin(reserved, 100_000, true), { code: 'Z_DATA_ERROR' });
});

function hasBytes(bytes: Uint8Array): void {
  if (bytes.length === 0) throw new Error('none');
}
