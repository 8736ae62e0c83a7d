// Extended headers: records, their values, and which of them counts.
import { test } from 'tap';
import { NO_RECORDS, parsePax, timeOf, type PaxRecords } from '../../../daemon/tarball/pax.js';
import { paxRecord } from '../../support/archive-writer.js';

const place = { blob: 'layer', offset: 512 };
const parsed = (...records: string[]): PaxRecords =>
  parsePax(Buffer.from(records.join(''), 'latin1'), place);

await test('values may hold newlines and NUL bytes', (t) => {
  const pax = parsed(paxRecord('path', 'a\nb'), paxRecord('SCHILY.xattr.a', '\n\0'));
  t.equal(pax.get('path'), 'a\nb');
  t.same([...(pax.xattrs(place) ?? [])], [['a', Buffer.from('\n\0')]]);
  t.end();
});

await test('a record that does not fit the header', (t) => {
  for (const record of [
    '99 path=a\n',
    '9 path=a',
    'path=a\n',
    '5 =a\n',
    '7 path\n',
    '0 a=\n',
    '',
  ]) {
    if (record === '') t.same([...parsed(record).values], []);
    else
      t.throws(() => parsed(record), { code: 'BAD_FORMAT', message: /record at byte 0/ }, record);
  }
  t.throws(() => parsed(paxRecord('uid', '7'), '12 mtime='), { message: /record at byte 8/ });
  t.end();
});

await test('a header for one file counts before one for all, and an empty value is none', (t) => {
  const all = parsed(paxRecord('uid', '1'), paxRecord('gid', '2'));
  const own = parsed(paxRecord('uid', ''), paxRecord('mtime', '3')).over(all);
  t.equal(own.number('uid', place), null);
  t.equal(own.number('gid', place), 2);
  t.equal(own.get('mtime'), '3');
  t.equal(all.over(NO_RECORDS), all);
  t.end();
});

await test('numbers', (t) => {
  for (const uid of ['-1', '1.5', '0x1', ' 1']) {
    const pax = parsed(paxRecord('uid', uid));
    t.throws(() => pax.number('uid', place), { code: 'BAD_FORMAT', message: /decimal digits/ });
  }
  const pax = parsed(paxRecord('size', '9007199254740992'));
  t.throws(() => pax.number('size', place), { code: 'LIMIT' });
  t.end();
});

await test('times', (t) => {
  t.same(timeOf('12', place), { mtime: 12, mtimeNs: 0 });
  t.same(timeOf('12.5', place), { mtime: 12, mtimeNs: 500_000_000 });
  t.same(timeOf('12.1234567899', place), { mtime: 12, mtimeNs: 123_456_789 });
  t.same(timeOf('-4.75', place), { mtime: -5, mtimeNs: 250_000_000 });
  t.same(timeOf('-4', place), { mtime: -4, mtimeNs: 0 });
  t.ok(Object.is(timeOf('-0', place).mtime, 0));
  // Python's tarfile: a time of 1 ns before 1970, as a floating point number.
  t.same(timeOf('-9.999999717180685e-10', place), { mtime: -1, mtimeNs: 999_999_999 });
  t.same(timeOf('5e-05', place), { mtime: 0, mtimeNs: 50_000 });
  t.same(timeOf('1e-320', place), { mtime: 0, mtimeNs: 0 });
  for (const text of ['', 'now', '1e3', '--1', '9999999999999999']) {
    t.throws(() => timeOf(text, place), { code: 'BAD_FORMAT' }, text);
  }
  t.end();
});

await test('extended attributes in both forms', (t) => {
  const pax = parsed(
    paxRecord('LIBARCHIVE.xattr.user.a%3db', 'AQI'),
    paxRecord('LIBARCHIVE.xattr.user.both', 'AQI='),
    paxRecord('SCHILY.xattr.user.both', 'raw'),
    paxRecord('LIBARCHIVE.xattr.user.%C3', 'AQI='),
    paxRecord('SCHILY.xattr.user.%C3', 'also raw'),
    paxRecord('SCHILY.xattr.user.empty', ''),
    paxRecord('SCHILY.acl.access', 'user::rw-'),
  );
  t.same(
    [...(pax.xattrs(place) ?? [])],
    [
      ['user.a=b', Buffer.from([1, 2])],
      ['user.both', Buffer.from('raw')],
      ['user.%C3', Buffer.from('also raw')],
      ['user.empty', Buffer.alloc(0)],
    ],
  );
  t.equal(NO_RECORDS.xattrs(place), null);
  for (const name of ['user.%', 'user.%4', 'user.%zz']) {
    const bad = parsed(paxRecord(`LIBARCHIVE.xattr.${name}`, ''));
    t.throws(() => bad.xattrs(place), { code: 'BAD_FORMAT', message: /percent-encoding/ });
  }
  t.end();
});
