// Where redirects lead.
import { test } from 'tap';
import { isRedirect, locationOf } from '../../../../daemon/registry/http/location.js';

const BASE = new URL('https://registry.example/v2/a/blobs/d?ns=x');

const to = (value: string | string[]): string => locationOf(value, BASE, 307, []).href;

await test('absolute and relative ones', (t) => {
  t.equal(to('https://store.example/x?sig=1#top'), 'https://store.example/x?sig=1');
  t.equal(to('/x/y?z'), 'https://registry.example/x/y?z');
  t.equal(to('y'), 'https://registry.example/v2/a/blobs/y');
  t.equal(to('//store.example/x'), 'https://store.example/x');
  t.equal(to(['https://me:pw@store.example/x', 'https://other/']), 'https://store.example/x');
  t.equal(locationOf('https://s/', new URL('http://r/'), 302, []).href, 'https://s/');
  t.same([301, 302, 303, 304, 307, 308].map(isRedirect), [true, true, true, false, true, true]);
  t.end();
});

await test('those that are not followed', (t) => {
  for (const [value, kind] of [
    [undefined, 'bad'],
    ['', 'bad'],
    ['http://[', 'bad'],
    [`/${'a'.repeat(8192)}`, 'bad'],
    ['http://store.example/x', 'refused'],
    ['ftp://store.example/x', 'refused'],
  ] as const) {
    try {
      locationOf(value, BASE, 307, ['store.example']);
      t.fail('followed');
    } catch (error) {
      t.match(error, { kind, host: 'registry.example' }, value?.slice(0, 40) ?? 'none');
    }
  }
  t.end();
});

await test('over plain http, only to hosts that are named for it', (t) => {
  const base = new URL('http://registry.example:5000/v2/');
  const plain = ['registry.example:5000', 'store.example:9000'];
  for (const url of [
    'http://store.example:9000/x',
    'http://registry.example:9000/x',
    'https://a/',
  ]) {
    t.equal(locationOf(url, base, 307, plain).href, url);
  }
  for (const host of ['store.example', 'store.example:9001', 'other.example', '169.254.169.254']) {
    t.throws(() => locationOf(`http://${host}/x`, base, 307, plain), {
      kind: 'refused',
      host: 'registry.example:5000',
      message: `registry.example:5000 redirects to ${host} over plain http, which no option allows; if that is right, add --plain-http ${host}`,
    });
  }
  t.end();
});
