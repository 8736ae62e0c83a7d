// Which texts repeat a secret of a request, in the forms in which servers show what they were sent.
import { test } from 'tap';
import { hasSecretOf } from '../../../../daemon/registry/http/request-secrets.js';

const bare = { url: new URL('https://h/v2/'), headers: {}, route: { tls: null, proxy: null } };
const basic = Buffer.from('me:pa/ss+wo%rd').toString('base64');

await test('logins', (t) => {
  const request = { ...bare, headers: { authorization: `Basic ${basic}`, accept: 'text/plain' } };
  for (const text of [
    `"${basic}" is refused`,
    `no me:pa/ss+wo%rd here`,
    'password pa/ss+wo%rd',
    `password=${encodeURIComponent('pa/ss+wo%rd')}`,
    'PASSWORD PA/SS+WO%RD'.toLowerCase(),
    `${basic.slice(0, 8)}...`,
  ]) {
    t.equal(hasSecretOf(request, text), true, text);
  }
  t.equal(hasSecretOf(request, 'authentication required, not text/plain'), false);
  t.equal(hasSecretOf(request, basic.slice(0, 7)), false, 'a part that is short');
  const token = { ...bare, headers: { authorization: 'Bearer abc.def.ghi' } };
  t.equal(hasSecretOf(token, 'Bearer is wrong'), false);
  t.equal(hasSecretOf(token, 'got Bearer abc.def.'), true);
  t.equal(hasSecretOf({ ...bare, headers: { 'x-key': 'key of a file' } }, 'a key of a file'), true);
  t.end();
});

await test('forms, signatures, proxies', (t) => {
  const form = { ...bare, body: 'grant_type=password&username=me&password=s3cret&scope=all' };
  t.equal(hasSecretOf(form, 'no s3cret'), true, 'shorter than a part');
  t.equal(hasSecretOf(form, 'not all of the scope, me'), false);
  const signed = { ...bare, url: new URL('https://h/?X-Sig=a%2Fb+cdefgh&scope=repository:a:pull') };
  t.equal(hasSecretOf(signed, 'X-Sig=a%2Fb+cdefgh has expired'), true);
  t.equal(hasSecretOf(signed, 'repository:a:pull is refused'), false);
  const store = new URL('https://h/?se=2026-01-01T00%3A00%3A00Z&sp=r&sr=b&n=429&sig=abcdefgh');
  t.equal(hasSecretOf({ ...bare, url: store }, 'ServerBusy: 429 requests'), false, 'short values');
  t.equal(hasSecretOf({ ...bare, url: store }, 'the signature abcdefgh is wrong'), true);
  const proxied = { ...bare, route: { tls: null, proxy: 'http://me:pr%2Foxy@p:1' } };
  t.equal(hasSecretOf(proxied, 'wrong: pr/oxy'), true);
  t.equal(hasSecretOf(proxied, Buffer.from('me:pr/oxy').toString('base64')), true);
  t.equal(hasSecretOf({ ...bare, route: { tls: null, proxy: '[nonsense' } }, '[nonsense'), false);
  t.equal(hasSecretOf(bare, 'anything'), false);
  t.end();
});

await test('a text without a secret at its beginning is shown for its beginning alone', (t) => {
  const request = { ...bare, headers: { authorization: 'Bearer abcdefghij' } };
  t.equal(hasSecretOf(request, `${' '.repeat(1014)}abcdefghij`), true);
  t.equal(hasSecretOf(request, `${' '.repeat(1024)}abcdefghij`), false);
  t.end();
});
