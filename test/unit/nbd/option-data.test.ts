// The data of options: every length field is checked.
import t from 'tap';
import { MAX_NAME_LENGTH } from '../../../daemon/nbd/limits.js';
import { parseInfoQuery, parseMetaQuery } from '../../../daemon/nbd/option-data.js';

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const text = (value: string): Buffer => Buffer.concat([u32(value.length), Buffer.from(value)]);
const u16 = (value: number): Buffer => u32(value).subarray(2);

await t.test('data of INFO and GO: wrong lengths are refused', (test) => {
  const good = Buffer.concat([text('web'), u16(2), u16(3), u16(1)]);
  const query = parseInfoQuery(good);
  if (typeof query === 'string') throw new Error(query);
  test.equal(query.name.toString(), 'web');
  test.same([...query.wanted], [3, 1]);
  for (const [data, why] of [
    [good.subarray(0, 5), /shorter/],
    [Buffer.concat([u32(MAX_NAME_LENGTH + 1), Buffer.alloc(2)]), /longer than 4096/],
    [Buffer.concat([u32(3), Buffer.from('we')]), /past the end/],
    [good.subarray(0, -1), /does not match/],
    [Buffer.concat([good, Buffer.alloc(1)]), /does not match/],
  ] as const) {
    test.match(parseInfoQuery(data), why);
  }
  test.end();
});

await t.test('data of meta context options: wrong lengths are refused', (test) => {
  const good = Buffer.concat([text('web'), u32(2), text('base:'), text('')]);
  const query = parseMetaQuery(good);
  if (typeof query === 'string') throw new Error(query);
  test.equal(query.name.toString(), 'web');
  test.same(query.queries, ['base:', '']);
  for (const [data, why] of [
    [good.subarray(0, 7), /shorter/],
    [Buffer.concat([u32(MAX_NAME_LENGTH + 1), Buffer.alloc(4)]), /longer than 4096/],
    [Buffer.concat([u32(5), Buffer.alloc(8)]), /past the end/],
    [good.subarray(0, -4), /fewer queries/],
    [good.subarray(0, -5), /past the end/],
    [Buffer.concat([text(''), u32(0xffff_ffff)]), /fewer queries/],
    [Buffer.concat([text(''), u32(1), u32(MAX_NAME_LENGTH + 1)]), /query longer/],
    [Buffer.concat([good, Buffer.alloc(1)]), /after the last/],
  ] as const) {
    test.match(parseMetaQuery(data), why);
  }
  test.end();
});
