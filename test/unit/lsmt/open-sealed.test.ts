// Opening sealed layers: header, trailer, and the allowed places of the index. Rules for entries: entries.test.ts.
import { test } from 'tap';
import { OverlaybdError } from '../../../daemon/errors.js';
import { isUnsealed, openSealed } from '../../../daemon/lsmt/open-sealed.js';
import { isLsmtHeader, parseLsmtHeader } from '../../../daemon/lsmt/format.js';
import type { LsmtLayer } from '../../../daemon/lsmt/layer.js';
import { LSMT_FLAG, LSMT_PAGE, lsmtPage, SECTOR } from '../../support/lsmt-layout.js';
import { writeLsmt, writeLsmtRaw, type LsmtImage } from '../../support/lsmt-writer.js';
import { MemorySource } from '../../support/memory-source.js';
import { randomBytes } from '../../support/pattern.js';
import { readLayer } from '../../support/segments.js';

const MIB = 1 << 20;
const BAD_MAGIC = Buffer.from('4c534d5400010201', 'hex');

const segments = [
  { offset: 2, length: 2, data: randomBytes(1, 2 * SECTOR) },
  { offset: 10, length: 5, zeroed: true },
];

function layer(image: Partial<LsmtImage> = {}): Buffer {
  return writeLsmt({ virtualSize: MIB, segments, ...image });
}

const open = (bytes: Buffer): Promise<LsmtLayer> =>
  openSealed(new MemorySource(bytes), bytes.subarray(0, LSMT_PAGE));

await test('an opened layer has its header, its segments and its counts', async (t) => {
  const uuid = '0BD00000-0000-4000-8000-000000000001';
  const opened = await open(layer({ uuid, userTag: 'tag', padIndex: 'commit' }));
  t.equal(opened.kind, 'sealed');
  t.equal(opened.header.virtualSize, MIB);
  t.equal(opened.header.uuid, uuid);
  t.equal(opened.header.parentUuid, '00000000-0000-0000-0000-000000000000');
  t.equal(opened.header.userTag, 'tag');
  t.equal(opened.header.version, '1.1');
  t.equal(opened.capacity, 256);
  const read = await readLayer(opened);
  t.equal(read.entries, 2);
  t.equal(read.paddingEntries, 254);
  t.equal(read.index.count, 2);
});

await test('only the trailer counts, whatever the header says', async (t) => {
  const stale = {
    flags: LSMT_FLAG.header | LSMT_FLAG.data,
    virtualSize: 5,
    indexOffset: 2 ** 40,
    indexSize: 2 ** 40,
    uuid: 'garbage',
    size: 1,
    version: 9,
    userTag: Buffer.alloc(256, 'x'),
  };
  const opened = await open(layer({ header: stale }));
  t.equal(opened.header.virtualSize, MIB);
  t.equal((await readLayer(opened)).index.count, 2);
  t.match(opened.header.uuid, /^0{8}-/);
});

await test('version, struct size and unknown flags are not checked', async (t) => {
  const trailer = { version: 9, subVersion: 7, size: 4096, flags: 0b101110 };
  const opened = await open(layer({ trailer }));
  t.equal(opened.header.version, '9.7');
});

await test('a user tag may fill its field, and ends at a NUL', async (t) => {
  const full = Buffer.alloc(256, 'ä');
  t.equal((await open(layer({ userTag: full }))).header.userTag, 'ä'.repeat(128));
  const cut = Buffer.from('one\0two');
  t.equal((await open(layer({ userTag: cut }))).header.userTag, 'one');
});

await test('what a header and a trailer must have', async (t) => {
  const { header, data, sealed } = LSMT_FLAG;
  const cases: [string, Partial<LsmtImage>, RegExp][] = [
    [
      'header magic',
      { header: { magic0: BAD_MAGIC } },
      /^blob: lsmt header magic at byte 0: expected 4c534d5400010200/,
    ],
    ['second half of it', { header: { magic1: Buffer.alloc(16) } }, /lsmt header magic at byte 0/],
    [
      'header bit',
      { header: { flags: data } },
      /lsmt header flags at byte 28: expected header and dataFile set, got 0x2/,
    ],
    ['data bit', { header: { flags: header } }, /lsmt header flags at byte 28: .* got 0x1/],
    [
      'trailer magic',
      { trailer: { magic0: BAD_MAGIC } },
      /lsmt trailer magic at byte \d+: expected/,
    ],
    [
      'trailer is a header',
      { trailer: { flags: header | data | sealed } },
      /lsmt trailer flags at byte \d+: .*header clear, got 0x7/,
    ],
    [
      'trailer not sealed',
      { trailer: { flags: data } },
      /lsmt trailer flags at byte \d+: .* got 0x2/,
    ],
    [
      'trailer of an index',
      { trailer: { flags: sealed } },
      /lsmt trailer flags at byte \d+: .* got 0x4/,
    ],
  ];
  for (const [name, image, message] of cases) {
    await t.rejects(open(layer(image)), { code: 'BAD_FORMAT', message }, name);
  }
});

await test('the trailer ends the blob: with one byte more or less there is none', async (t) => {
  const blob = layer();
  for (const bytes of [blob.subarray(0, -1), Buffer.concat([blob, Buffer.alloc(1)])]) {
    await t.rejects(open(bytes), { code: 'BAD_FORMAT', message: /lsmt trailer magic/ });
  }
});

await test('blobs too small for a header and a trailer', async (t) => {
  for (const size of [0, 1, LSMT_PAGE, 2 * LSMT_PAGE - 1]) {
    const bytes = Buffer.alloc(size);
    lsmtPage({ flags: 7 }).copy(bytes);
    await t.rejects(open(bytes), {
      code: 'BAD_FORMAT',
      message: `blob: lsmt layer at byte 0: expected at least 8192 bytes (header and trailer), got ${size}`,
    });
  }
});

await test('an empty layer is two pages, and is a layer', async (t) => {
  const bytes = writeLsmtRaw({ virtualSize: MIB, data: Buffer.alloc(0), entries: [] });
  t.equal(bytes.length, 2 * LSMT_PAGE);
  t.equal((await readLayer(await open(bytes))).index.count, 0);
});

await test('index size and place are checked before reading or allocating', async (t) => {
  const trailerAt = layer().length - LSMT_PAGE;
  const cases: [string, Partial<LsmtImage>, RegExp][] = [
    [
      'over the limit',
      { trailer: { indexSize: 1_000_001 } },
      /lsmt index size at byte \d+: expected at most 1000000 entries, got 1000001/,
    ],
    ['absurd', { trailer: { indexSize: 2 ** 60 } }, /lsmt index size at byte \d+/],
    [
      'one entry past the trailer',
      { trailer: { indexSize: 257 } },
      new RegExp(
        `lsmt index end at byte \\d+: expected at most ${trailerAt}, where the trailer begins, got ${trailerAt + 16}`,
      ),
    ],
    [
      'offset past the trailer',
      { trailer: { indexOffset: trailerAt + 1, indexSize: 0 } },
      /lsmt index offset at byte \d+/,
    ],
    [
      'absurd offset',
      { trailer: { indexOffset: 2 ** 62, indexSize: 1 } },
      /lsmt index offset at byte \d+/,
    ],
  ];
  for (const [name, image, message] of cases) {
    const source = new MemorySource(layer(image));
    await t.rejects(
      openSealed(source, source.bytes.subarray(0, LSMT_PAGE)),
      { code: 'BAD_FORMAT', message },
      name,
    );
    t.ok(
      source.reads.every(([, length]) => length === LSMT_PAGE),
      `${name}: no entry was read`,
    );
  }
});

await test('an index of a million entries is accepted', async (t) => {
  const blob = writeLsmt({ virtualSize: MIB, segments: [], padIndex: 'none' });
  const index = Buffer.alloc(16_000_000, 0xff);
  const trailer = lsmtPage({ virtualSize: MIB, flags: 6, indexOffset: 4096, indexSize: 1e6 });
  const opened = await open(Buffer.concat([blob.subarray(0, 4096), index, trailer]));
  const read = await readLayer(opened);
  t.equal(read.paddingEntries, 1_000_000);
  t.equal(read.entries, 0);
});

await test('virtual sizes are exact up to 2^53 - 1 bytes, and refused above', async (t) => {
  const largest = Number.MAX_SAFE_INTEGER;
  t.equal((await open(layer({ virtualSize: largest }))).header.virtualSize, largest);
  for (const virtualSize of [2 ** 53, 2 ** 63]) {
    await t.rejects(open(layer({ virtualSize })), {
      code: 'BAD_FORMAT',
      message: /^blob: lsmt virtual size at byte \d+: expected at most 9007199254740991, got 9/,
    });
  }
});

await test('messages quote numbers beyond 2^53 as they are in the file', async (t) => {
  const bytes = layer();
  const trailerAt = bytes.length - LSMT_PAGE;
  bytes.writeBigUInt64LE(2n ** 64n - 1n, trailerAt + 48);
  await t.rejects(open(bytes), { message: /, got 18446744073709551615$/ });
  bytes.writeBigUInt64LE(2n ** 60n + 1n, trailerAt + 32);
  await t.rejects(open(bytes), { message: /index offset .* got 1152921504606846977$/ });
});

await test('the first wrong number ends the opening', async (t) => {
  const trailer = { indexSize: 2e6, indexOffset: 2 ** 40, virtualSize: 2 ** 60 };
  await t.rejects(open(layer({ trailer })), { message: /^blob: lsmt index size / });
});

await test('a layer is recognized by its magic and header bit alone', (t) => {
  t.equal(isLsmtHeader(layer()), true);
  t.equal(isLsmtHeader(lsmtPage({ flags: LSMT_FLAG.header })), true);
  t.equal(isLsmtHeader(lsmtPage({ flags: LSMT_FLAG.data | LSMT_FLAG.sealed })), false);
  t.equal(isLsmtHeader(Buffer.alloc(8192)), false);
  t.equal(isLsmtHeader(Buffer.alloc(0)), false);
  t.end();
});

const is = (bytes: Buffer): Promise<boolean> =>
  isUnsealed(new MemorySource(bytes), parseLsmtHeader(bytes));

await test('an unsealed header is a file of an upper only if there is no trailer', async (t) => {
  const header = { flags: LSMT_FLAG.header | LSMT_FLAG.data };
  const good = layer({ header });
  t.equal(await is(good), false, 'sealed in place');
  t.equal(await is(good.subarray(0, -LSMT_PAGE)), true);
  t.equal(await is(good.subarray(0, LSMT_PAGE)), true);
  t.equal(await is(layer().subarray(0, -LSMT_PAGE)), false, 'cut');
});

await test('errors are OverlaybdErrors with code and message', async (t) => {
  const error: unknown = await open(Buffer.alloc(9000)).catch((reason: unknown) => reason);
  t.ok(error instanceof OverlaybdError);
});
