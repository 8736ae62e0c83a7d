// LSMT headers and trailers: the place of every field, and the rules for magic and flags.
import { test } from 'tap';
import {
  checkLsmtHeader,
  isLsmtHeader,
  LSMT_FLAG,
  LSMT_HEADER_SIZE,
  parseLsmtHeader,
} from '../../../daemon/lsmt/format.js';
import { lsmtPage } from '../../support/lsmt-layout.js';

const { header, dataFile, sealed, sparse } = LSMT_FLAG;

await test('fields of a header page', (t) => {
  const page = lsmtPage({
    flags: header | dataFile | sealed,
    indexOffset: 55_296,
    indexSize: 256,
    virtualSize: 2 ** 40,
    uuid: '01234567-89ab-cdef-0123-456789abcdef',
    parentUuid: 'fedcba98-7654-3210-fedc-ba9876543210',
    version: 3,
    subVersion: 200,
    userTag: Buffer.from('made by hand é'),
  });
  t.equal(page.length, LSMT_HEADER_SIZE);
  t.same(parseLsmtHeader(page), {
    flags: header | dataFile | sealed,
    indexOffset: 55_296,
    indexSize: 256,
    virtualSize: 2 ** 40,
    exact: { indexOffset: 55_296n, indexSize: 256n, virtualSize: 2n ** 40n },
    uuid: '01234567-89ab-cdef-0123-456789abcdef',
    parentUuid: 'fedcba98-7654-3210-fedc-ba9876543210',
    userTag: 'made by hand é',
    version: '3.200',
  });
  t.end();
});

await test('a user tag of 256 bytes has no NUL and fills its field', (t) => {
  const page = lsmtPage({ userTag: Buffer.alloc(256, 'x') });
  page.fill('y', 390);
  t.equal(parseLsmtHeader(page).userTag, 'x'.repeat(256));
  t.end();
});

await test('numbers beyond 2^53 are exact in messages', (t) => {
  const page = lsmtPage({});
  page.writeBigUInt64LE(2n ** 64n - 1n, 48);
  t.equal(parseLsmtHeader(page).exact.virtualSize, 2n ** 64n - 1n);
  t.end();
});

await test('what is recognized as a header', (t) => {
  t.ok(isLsmtHeader(lsmtPage({ flags: header })));
  t.ok(isLsmtHeader(lsmtPage({ flags: header }).subarray(0, 32)), 'magic and flags are enough');
  t.notOk(isLsmtHeader(lsmtPage({ flags: header }).subarray(0, 31)), 'cut by one byte');
  t.notOk(isLsmtHeader(lsmtPage({ flags: sealed })), 'a trailer');
  for (const at of [0, 7, 8, 23]) {
    const page = lsmtPage({ flags: header });
    page[at] = (page[at] as number) ^ 1;
    t.notOk(isLsmtHeader(page), `magic wrong at ${at}`);
  }
  t.end();
});

await test('flags that must be set or clear', (t) => {
  const rule = { section: 'trailer', offset: 8192, set: sealed | dataFile, clear: header | sparse };
  const check = (flags: number, patch?: (page: Buffer) => void): void => {
    const page = lsmtPage({ flags });
    patch?.(page);
    checkLsmtHeader(page, 'blob', rule);
  };
  t.doesNotThrow(() => check(sealed | dataFile));
  t.doesNotThrow(() => check(sealed | dataFile | 0x4000_0000), 'unknown flags');
  for (const flags of [sealed, dataFile, sealed | dataFile | header, sealed | dataFile | sparse]) {
    t.throws(() => check(flags), {
      code: 'BAD_FORMAT',
      message: `blob: lsmt trailer flags at byte ${8192 + 28}: expected dataFile and sealed set, header and sparse clear, got 0x${flags.toString(16)}`,
    });
  }
  t.throws(
    () => check(sealed | dataFile, (page) => page.fill(0, 0, 1)),
    { message: /^blob: lsmt trailer magic at byte 8192: / },
    'flags of other formats are not checked',
  );
  t.end();
});
