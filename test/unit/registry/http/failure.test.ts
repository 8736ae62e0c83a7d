// What errors mean, and what of them is shown.
import { test } from 'tap';
import {
  Failure,
  failureOf,
  retryAfterMs,
  shownText,
} from '../../../../daemon/registry/http/failure.js';

const coded = (code: string, message = 'x'): Error => Object.assign(new Error(message), { code });

await test('errors of Node and undici', (t) => {
  for (const [error, kind, message, counter] of [
    [coded('ECONNREFUSED'), 'retry', /h refuses connections: check that it runs/, 'connect'],
    [coded('ENOTFOUND'), 'retry', /name servers do not know its name/, 'connect'],
    [coded('UND_ERR_CONNECT_TIMEOUT'), 'retry', /does not take the connection/, 'connect'],
    [coded('ECONNRESET'), 'retry', /closed the connection/, 'reset'],
    [coded('UND_ERR_HEADERS_TIMEOUT'), 'retry', /does not answer in time/, 'timeout'],
    [coded('DEPTH_ZERO_SELF_SIGNED_CERT'), 'refused', /--registry-ca/, 'tls'],
    [coded('CERT_NOT_YET_VALID'), 'refused', /clock is wrong/, 'tls'],
    [coded('ERR_TLS_CERT_ALTNAME_INVALID'), 'refused', /for another name/, 'tls'],
    [coded('ERR_SSL_WRONG_VERSION_NUMBER'), 'refused', /--plain-http/, 'tls'],
    [coded('HPE_INVALID_CONSTANT'), 'retry', /does not speak HTTP/, 'malformed'],
    [
      Object.assign(new Error('x'), { name: 'HTTPParserError' }),
      'retry',
      /does not speak HTTP; check its port$/,
      'malformed',
    ],
    [
      Object.assign(
        new Error('Response does not match the HTTP/1.1 protocol (Invalid header value char)'),
        { name: 'HTTPParserError', data: '\u001b[31m?signature=secret' },
      ),
      'bad',
      /^h sends a header that is not valid \(Invalid header value char: "\\u\{1b\}"\)$/,
      'malformed',
    ],
    [
      coded('UND_ERR_HEADERS_OVERFLOW'),
      'bad',
      /^h sends an answer with more than 65536 bytes of headers$/,
      'malformed',
    ],
    [
      coded('UND_ERR_ABORTED', 'Proxy response (407) !== 200'),
      'retry',
      /proxy answers 407/,
      'connect',
    ],
    [coded('EHOSTDOWN'), 'retry', /^h cannot be reached \(it is down\); check/, 'connect'],
    [
      coded('EPERM', 'connect EPERM 1.2.3.4:443'),
      'retry',
      /^h .*does not allow it; check its firewall/,
      'connect',
    ],
    [coded('UND_ERR_PRX_TLS'), 'retry', /which has a certificate for another name: use/, 'connect'],
    [
      Object.assign(coded('EISCONN', 'connect EISCONN 1.2.3.4:5 - Local (0.0.0.0:0)'), {
        errno: -106,
        syscall: 'connect',
      }),
      'retry',
      /^h cannot be asked: EISCONN \(socket is already connected\); check the network of this machine$/,
      'other',
    ],
    [new Error('odd\u001b[31m'), 'retry', /cannot be asked: odd\\u\{1b\}/, 'other'],
    ['text', 'retry', /cannot be asked: text/, 'other'],
  ] as const) {
    t.match(failureOf(error, 'h'), { kind, message, facts: { counter } }, String(message));
  }
  const failure = new Failure('bad', 'is wrong', { host: 'h' });
  t.equal(failureOf(failure, 'other'), failure);
  t.equal(failureOf(coded('EPIPE'), 'h', true).facts.wasStale, true);
  t.end();
});

await test('Retry-After', (t) => {
  const now = Date.parse('2026-11-26T12:00:00Z');
  for (const [value, expected] of [
    ['5', 5000],
    [' 0 ', 0],
    ['Thu, 26 Nov 2026 12:00:07 GMT', 7000],
    ['Thu, 26 Nov 2026 11:00:07 GMT', 0],
    [['3', '4'], 3000],
    [undefined, null],
    ['-5', null],
    ['1.5', null],
    ['soon', null],
    ['86400', 86_400_000],
    ['86401', 86_400_000],
    ['99999999999', 86_400_000],
    ['9'.repeat(400), 86_400_000],
    ['Wed, 21 Oct 2099 07:28:00 GMT', 86_400_000],
  ] as const) {
    t.equal(retryAfterMs(value as string | string[], now), expected, JSON.stringify(value));
  }
  t.end();
});

await test('texts of the other side are short and harmless', (t) => {
  t.equal(shownText(' a\n\u001b '), 'a\\n\\u{1b}');
  t.ok(shownText('x'.repeat(10_000)).length < 250);
  t.end();
});
