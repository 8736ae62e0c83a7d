// docker's config.json and containers' auth.json.
import { test } from 'tap';
import {
  credentialOf,
  helperFor,
  loginFor,
  parseAuthFile,
} from '../../../../daemon/registry/http/auth-file.js';

const auth = (pair: string): { auth: string } => ({ auth: Buffer.from(pair).toString('base64') });
const file = (value: unknown) => parseAuthFile(JSON.stringify(value));

await test('keys as they are in the wild', (t) => {
  for (const key of [
    'h:5000',
    'https://h:5000',
    'http://h:5000',
    'https://h:5000/v1/',
    'h:5000/v2/',
  ]) {
    const found = loginFor(file({ auths: { [key]: auth('u:p') } }), 'h:5000', 'a/b');
    t.same(found, { kind: 'basic', username: 'u', password: 'p' }, key);
  }
  for (const key of ['https://index.docker.io/v1/', 'docker.io', 'registry-1.docker.io']) {
    const found = loginFor(
      file({ auths: { [key]: auth('u:p') } }),
      'registry-1.docker.io',
      'library/x',
    );
    t.ok(found, key);
  }
  t.equal(loginFor(file({ auths: { h: auth('u:p') } }), 'h:5000', 'a'), null);
  t.end();
});

await test('the most specific key counts, by whole segments', (t) => {
  const all = file({
    auths: {
      h: auth('host:1'),
      'h/team': auth('team:1'),
      'h/team/app': auth('app:1'),
      'h/te': auth('te:1'),
    },
  });
  const user = (repository: string): unknown =>
    (loginFor(all, 'h', repository) as { username?: string } | null)?.username;
  t.equal(user('team/app'), 'app');
  t.equal(user('team/app/x'), 'app');
  t.equal(user('team/application'), 'team');
  t.equal(user('teams/app'), 'host');
  t.end();
});

await test('forms of a login', (t) => {
  t.same(credentialOf(auth('u:p:with:colons')), {
    kind: 'basic',
    username: 'u',
    password: 'p:with:colons',
  });
  t.same(credentialOf(auth('u:p\0\0')), { kind: 'basic', username: 'u', password: 'p' });
  t.same(credentialOf({ username: 'u', password: '' }), {
    kind: 'basic',
    username: 'u',
    password: '',
  });
  t.same(credentialOf({ ...auth('u:p'), identitytoken: 'i' }), { kind: 'identity', token: 'i' });
  t.same(credentialOf({ identitytoken: 'i', registrytoken: 'r' }), { kind: 'bearer', token: 'r' });
  for (const none of [{}, null, 5, auth('nocolon'), auth(':p'), { auth: 5 }, { username: 'u' }]) {
    t.equal(credentialOf(none), null, JSON.stringify(none));
  }
  t.end();
});

await test('which helper, and what it is asked for', (t) => {
  const helpers = { credHelpers: { 'h:5000': 'one', 'https://x/v1/': 'two' }, credsStore: 'all' };
  const all = file({ ...helpers, auths: { 'https://h': {} } });
  t.same(helperFor(all, 'h:5000'), { helper: 'one', server: 'h:5000' });
  t.same(helperFor(all, 'x'), { helper: 'two', server: 'https://x/v1/' });
  t.same(helperFor(all, 'h'), { helper: 'all', server: 'https://h' }, 'as the key is spelled');
  t.same(helperFor(all, 'other'), { helper: 'all', server: 'other' });
  const hub = { helper: 'all', server: 'https://index.docker.io/v1/' };
  t.same(helperFor(all, 'registry-1.docker.io'), hub);
  t.equal(helperFor(file({ credHelpers: { h: 'one' } }), 'x'), null);
  t.end();
});

await test('what is not such a file', (t) => {
  for (const text of ['', '[]', '5', 'null', '{']) t.throws(() => parseAuthFile(text), text);
  t.same(file({ auths: 5, credHelpers: [], credsStore: 7 }), {
    auths: new Map(),
    helpers: new Map(),
    store: null,
  });
  t.end();
});
