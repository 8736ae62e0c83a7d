// What the fault front counts from its log.
import { test } from 'tap';
import { RequestLog, type LoggedRequest } from '../../../support/registry/request-log.js';

let count = 0;

function made(begin: number, end: number, more: Partial<LoggedRequest> = {}): LoggedRequest {
  return {
    number: ++count,
    connection: 1,
    origin: 'registry',
    kind: 'blob',
    method: 'GET',
    path: '/v2/x/blobs/y',
    reference: 'y',
    range: 'bytes=0-9',
    authorization: null,
    headers: { 'accept-encoding': 'identity', 'user-agent': 'x' },
    begin,
    end,
    status: 206,
    first: 0,
    bytes: 10,
    ended: 'whole',
    action: null,
    ...more,
  };
}

function logOf(...requests: LoggedRequest[]): RequestLog {
  const log = new RequestLog();
  for (const request of requests) log.add(request);
  return log;
}

const part = (first: number, bytes: number, more = {}): LoggedRequest =>
  made(0, 1, { first, bytes, ...more });

await test('the longest chain is of requests that did not overlap', (t) => {
  const log = logOf(
    made(0, 20, { kind: 'token' }),
    made(20, 40, { kind: 'manifest' }),
    made(41, 60),
    made(41, 61),
    made(42, 200),
    made(62, 80),
  );
  t.equal(log.longestChain().length, 3);
  t.equal(log.longestChain([]).length, 4, 'with the token');
  const refused = logOf(made(0, 20, { status: 401 }), made(20, 40));
  t.equal(refused.longestChain().length, 1, 'without the request that wanted a token');
  t.equal(log.mostAtOnce(), 3);
  t.equal(log.mostAtOnce({ kind: 'token' }), 1);
  t.equal(logOf().longestChain().length, 0);
  t.end();
});

await test('bytes that were sent more than once', (t) => {
  t.equal(logOf(part(0, 10), part(10, 10)).duplicateBytes(), 0);
  t.equal(logOf(part(5, 10), part(0, 10)).duplicateBytes(), 5);
  t.equal(logOf(part(0, 10), part(0, 10), part(0, 10)).duplicateBytes(), 20);
  t.equal(logOf(part(0, 30), part(10, 10)).duplicateBytes(), 10);
  t.equal(logOf(part(0, 10), part(0, 10, { reference: 'z' })).duplicateBytes(), 0, 'other blobs');
  t.equal(logOf(part(0, 10), part(0, 10, { status: 503 })).duplicateBytes(), 0, 'error bodies');
  t.equal(logOf(part(0, 10), part(20, 7)).dataBytes(), 17);
  t.end();
});

await test('what a client must not do', (t) => {
  t.same(logOf(made(0, 1)).violations(), []);
  const wrongs: readonly [Partial<LoggedRequest>, RegExp][] = [
    [{ kind: 'store', origin: 'store', authorization: 'Bearer' }, /Authorization for the store/],
    [{ method: 'HEAD' }, /HEAD of a blob/],
    [{ range: null }, /whole blob/],
    [{ range: 'bytes=0-1,4-5' }, /several ranges/],
    [{ status: 416 }, /does not have/],
    [{ headers: { 'user-agent': 'x' } }, /not identity/],
    [{ headers: { 'accept-encoding': 'identity' } }, /User-Agent/],
    [
      { headers: { 'accept-encoding': 'identity', 'user-agent': 'x', 'if-range': '"a"' } },
      /If-Range/,
    ],
  ];
  for (const [more, what] of wrongs) t.match(logOf(made(0, 1, more)).violations(), [what]);
  t.end();
});

await test('waiting for a request that is not there yet', async (t) => {
  const log = logOf();
  const waiting = log.waitFor(({ kind }) => kind === 'referrers');
  log.add(made(0, 1));
  const wanted = made(0, 1, { kind: 'referrers' });
  log.add(wanted);
  t.equal(await waiting, wanted);
  t.equal(await log.waitFor(({ kind }) => kind === 'referrers'), wanted, 'or is there');
});
