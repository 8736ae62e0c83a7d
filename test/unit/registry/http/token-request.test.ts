// Requests for tokens, and their answers.
import { test } from 'tap';
import { parseChallenges } from '../../../../daemon/registry/http/challenge.js';
import {
  getRequest,
  postRequest,
  realmUrl,
  scopeOf,
  tokenOf,
} from '../../../../daemon/registry/http/token-request.js';

const scope = (field: string) => {
  const [challenge] = parseChallenges(field);
  if (!challenge) throw new Error('no challenge');
  return scopeOf(challenge, 'team/app');
};

await test('scopes: of the challenge, several, or our own', (t) => {
  t.same(
    scope('Bearer realm="r",service="s",scope="repository:a:pull repository:h:5000/b:pull,push"'),
    {
      realm: 'r',
      service: 's',
      scopes: ['repository:a:pull', 'repository:h:5000/b:pull,push'],
    },
  );
  t.same(scope('Bearer realm="r"'), {
    realm: 'r',
    service: null,
    scopes: ['repository:team/app:pull'],
  });
  t.end();
});

await test('where a login may go', (t) => {
  const https = new URL('https://registry.example/v2');
  const http = new URL('http://registry.example/v2');
  t.equal(
    realmUrl('https://me:pw@auth.example/t?x=1#y', https, []).href,
    'https://auth.example/t?x=1',
  );
  t.equal(realmUrl('http://auth.example/t', http, ['auth.example']).href, 'http://auth.example/t');
  t.equal(realmUrl('http://registry.example:5001/t', http, []).port, '5001', 'the same host');
  t.throws(() => realmUrl('http://auth.example/t', http, ['auth.example:5001']), {
    kind: 'refused',
    message:
      /names a token service at auth.example over plain http.+ add --plain-http auth.example$/,
  });
  for (const realm of ['http://auth.example/t', 'nonsense', '', 'file:///etc/passwd']) {
    t.throws(
      () => realmUrl(realm, https, ['auth.example']),
      { message: /names a token service/ },
      realm,
    );
  }
  t.end();
});

await test('GET and POST', (t) => {
  const wanted = scope(
    'Bearer realm="https://a/t?x=1",service="Docker Registry",scope="a:b:c d:e:f"',
  );
  const realm = new URL(wanted.realm);
  const basic = { kind: 'basic', username: 'u', password: 'p:&' } as const;
  const get = getRequest(realm, wanted, basic);
  t.equal(
    get.url.href,
    'https://a/t?x=1&service=Docker+Registry&scope=a%3Ab%3Ac&scope=d%3Ae%3Af&client_id=overlaybd-nbd',
  );
  t.equal(get.headers['authorization'], `Basic ${Buffer.from('u:p:&').toString('base64')}`);
  t.equal(getRequest(realm, wanted, null).headers['authorization'], undefined);
  t.match(
    getRequest(realm, wanted, { kind: 'identity', token: 'i' }).headers['authorization'],
    /^Basic /,
  );
  const post = postRequest(realm, wanted, basic);
  t.equal(post.method, 'POST');
  t.same(Object.fromEntries(new URLSearchParams(post.body)), {
    client_id: 'overlaybd-nbd',
    scope: 'a:b:c d:e:f',
    service: 'Docker Registry',
    grant_type: 'password',
    username: 'u',
    password: 'p:&',
  });
  const refresh = postRequest(realm, wanted, { kind: 'identity', token: 'i' });
  t.match(refresh.body, /grant_type=refresh_token&refresh_token=i/);
  t.end();
});

const of = (value: unknown) =>
  tokenOf(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)));

await test('answers', (t) => {
  t.same(of({ token: 'a', expires_in: 300, issued_at: 'x' }), { value: 'a', lifetime: 300 });
  t.same(of({ token: '', access_token: 'b' }), { value: 'b', lifetime: 60 });
  for (const expires of [0, -5, 'x', null, {}]) {
    t.same(
      of({ token: 'a', expires_in: expires }),
      { value: 'a', lifetime: 60 },
      JSON.stringify(expires),
    );
  }
  t.same(of({ token: 'a', expires_in: 1e12 }), { value: 'a', lifetime: 86_400 });
  for (const none of [
    '<html>',
    '',
    '5',
    'null',
    {},
    { token: 5 },
    { token: 'a\r\nb: c' },
    { token: 'ä' },
  ]) {
    t.equal(of(none), null, JSON.stringify(none));
  }
  t.end();
});
