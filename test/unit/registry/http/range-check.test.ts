// The header of an answer to a request for a range.
import { test } from 'tap';
import {
  checkRange,
  NoRanges,
  type BodyRange,
} from '../../../../daemon/registry/http/range-check.js';

const WANTED = { first: 100, last: 199, size: 2 << 20 };

function check(
  status: number,
  headers: Record<string, string | string[]>,
  wanted = WANTED,
): BodyRange {
  return checkRange({ host: 'h', status, headers }, wanted);
}

await test('what is taken', (t) => {
  for (const unit of ['bytes ', 'Bytes ', 'bytes=', '']) {
    const headers = { 'content-range': `${unit}100-199/${2 << 20}` };
    t.same(check(206, headers), { first: 100, length: 100 }, unit);
  }
  t.same(check(206, { 'content-range': 'bytes 100-199/*' }), { first: 100, length: 100 });
  const shorter = { 'content-range': 'bytes 100-149/*', 'content-length': '50' };
  t.same(check(206, shorter), { first: 100, length: 50 }, 'the rest is asked for again');
  const encoded = { 'content-range': 'bytes 100-199/*', 'content-encoding': 'identity' };
  t.same(check(206, encoded), { first: 100, length: 100 });
  const small = { ...WANTED, size: 1 << 20 };
  t.same(check(200, {}, small), { first: 0, length: 1 << 20 }, 'a small blob as a whole');
  const all = { first: 0, last: (2 << 20) - 1, size: 2 << 20 };
  t.same(check(200, {}, all), { first: 0, length: 2 << 20 }, 'all of it was asked for');
  t.end();
});

await test('a blob whose size no descriptor has: the answer says it', (t) => {
  const sizes: number[] = [];
  const wanted = { first: 0, last: 0, size: null, sized: (bytes: number) => sizes.push(bytes) };
  const ask = (status: number, headers: Record<string, string>): BodyRange =>
    checkRange({ host: 'h', status, headers }, wanted);
  t.same(ask(206, { 'content-range': 'bytes 0-0/7000' }), { first: 0, length: 1 });
  t.same(ask(200, { 'content-length': '300' }), { first: 0, length: 300 });
  t.same(ask(200, { 'content-length': '1' }), { first: 0, length: 1 });
  t.same(sizes, [7000, 300, 1]);
  const message = /does not say how many bytes this blob has/;
  t.throws(() => ask(206, { 'content-range': 'bytes 0-0/*' }), { message });
  t.throws(() => ask(200, {}), { message });
  t.throws(() => ask(200, { 'content-length': String(8 << 20) }), {
    message: /answers with the whole blob instead of a range/,
  });
  t.equal(sizes.length, 3);
  t.end();
});

await test('what is not', (t) => {
  const bad = (status: number, headers: Record<string, string>, wanted = WANTED): void => {
    const text = `${status} ${JSON.stringify(headers)}`;
    t.throws(() => check(status, headers, wanted), { name: 'Failure', kind: 'bad' }, text);
  };
  bad(206, {});
  for (const value of ['bytes 99-199/*', 'bytes 100-200/*', 'bytes 100-99/*', 'bytes 100-199/5']) {
    bad(206, { 'content-range': value });
  }
  bad(206, { 'content-range': 'bytes 100-199/*', 'content-length': '101' });
  bad(206, { 'content-range': 'bytes 100-199/*', 'content-encoding': 'gzip' });
  bad(206, { 'content-type': 'multipart/byteranges; boundary=x' });
  bad(416, { 'content-range': 'bytes */5' });
  bad(204, {});
  bad(200, { 'content-length': '5' }, { ...WANTED, size: 1000 });
  try {
    check(200, {});
    t.fail('taken');
  } catch (error) {
    t.ok(error instanceof NoRanges);
    t.match(error, { message: /^h answers with the whole blob .+ nginx: set slice/ });
  }
  t.end();
});
