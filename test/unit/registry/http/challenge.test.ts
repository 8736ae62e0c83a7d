// WWW-Authenticate as registries send it.
import { assert, property, string } from 'fast-check';
import { test } from 'tap';
import { bestChallenge, parseChallenges } from '../../../../daemon/registry/http/challenge.js';

const parsed = (field: string | string[]): unknown[] =>
  parseChallenges(field).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);

const best = (field: string): string | undefined => bestChallenge(parseChallenges(field))?.scheme;

await test('one challenge, with commas and blanks in quotes', (t) => {
  const field =
    'Bearer realm="https://a/token?x=1,2",service="Docker Registry",scope="repository:a/b:pull,push"';
  t.same(parsed(field), [
    [
      'bearer',
      {
        realm: 'https://a/token?x=1,2',
        service: 'Docker Registry',
        scope: 'repository:a/b:pull,push',
      },
    ],
  ]);
  t.end();
});

await test('several challenges, in one field and in several', (t) => {
  const fields = [
    'Negotiate abc==',
    'BEARER Realm = "r" , SERVICE=s',
    'Basic realm="a \\"b\\""',
    'Digest a=b',
  ];
  const expected = [
    ['negotiate', {}],
    ['bearer', { realm: 'r', service: 's' }],
    ['basic', { realm: 'a "b"' }],
    ['digest', { a: 'b' }],
  ];
  t.same(parsed(fields), expected);
  t.same(parsed(fields.join(',')), expected);
  t.same(parsed('Negotiate,Basic'), [
    ['negotiate', {}],
    ['basic', {}],
  ]);
  t.end();
});

await test('values without quotes, repeated parameters, nothing', (t) => {
  t.same(parsed('Bearer realm=https://a/token,service=s'), [
    ['bearer', { realm: 'https://a/token', service: 's' }],
  ]);
  t.same(parsed('Bearer realm="a",realm="b"'), [['bearer', { realm: 'a' }]]);
  t.same(parseChallenges(undefined), []);
  t.same(parseChallenges(''), []);
  t.same(parsed('Bearer realm="unfinished'), [
    ['bearer', { realm: '' }],
    ['unfinished', {}],
  ]);
  t.end();
});

await test('a token is better than a password', (t) => {
  t.equal(best('Basic realm="x", Bearer realm="y"'), 'bearer');
  t.equal(best('Bearer service="y", Basic realm="x"'), 'basic', 'without a realm it is of no use');
  t.equal(best('Negotiate'), undefined);
  t.end();
});

await test('any text ends, with few challenges', (t) => {
  assert(property(string({ maxLength: 300 }), (text) => parseChallenges(text).length <= 16));
  t.ok(parseChallenges('a,'.repeat(100_000)).length <= 16);
  t.ok(parseChallenges(`Bearer ${'"'.repeat(100_000)}`).length <= 16);
  t.end();
});
