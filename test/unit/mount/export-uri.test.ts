// The URI that nbdfuse gets for an export of a running daemon.
import { test } from 'tap';
import { absoluteUri, checkExport, exportUri, isNbdUri } from '../../../daemon/mount/export-uri.js';

await test('a Unix socket is preferred, then TCP without TLS', (t) => {
  const unix = 'nbd+unix:///?socket=/run/a%20b.sock';
  t.equal(
    exportUri(['nbds://localhost', 'nbd://[::1]:10810', unix], 'web'),
    'nbd+unix:///web?socket=/run/a%20b.sock',
  );
  t.equal(exportUri(['nbd://[::1]:10810'], 'a/b ?#%'), 'nbd://[::1]:10810/a%2Fb%20%3F%23%25');
  t.equal(exportUri(['nbd://127.0.0.1'], ''), 'nbd://127.0.0.1/');
  t.equal(exportUri(['nbd+vsock://2:10809'], 'x'), 'nbd+vsock://2:10809/x');
  t.end();
});

await test('there is no URI without a Unix socket or plain TCP', (t) => {
  for (const listening of [
    [],
    ['nbds://localhost'],
    ['unix://@abstract', 'vsock://:10809', 'fd://x'],
  ]) {
    t.equal(exportUri(listening, 'web'), null);
  }
  t.end();
});

await test('which words are URIs', (t) => {
  for (const word of ['nbd://h', 'nbds://h/x', 'nbd+unix:///?socket=/s', 'nbds+vsock://2']) {
    t.ok(isNbdUri(word), word);
  }
  for (const word of ['nbd', 'nbd:x', './nbd://h', 'http://h', 'nbd+x://h']) {
    t.notOk(isNbdUri(word), word);
  }
  t.end();
});

const absolute = (uri: string): string => absoluteUri(uri, (path) => `/here/${path}`);

await test('relative paths in a URI are made absolute', (t) => {
  for (const same of [
    'nbd://h/name',
    'nbd+unix:///name?socket=/run/a%20b.sock',
    'nbds://h/?tls-certificates=/etc/pki&tls-verify-peer=false',
    'nbd+unix:///?socket=%zz',
    'nbd+unix:///?socket',
  ]) {
    t.equal(absolute(same), same);
  }
  t.equal(absolute('nbd+unix:///x?socket=a%20b/c.sock'), 'nbd+unix:///x?socket=/here/a%20b/c.sock');
  t.equal(
    absolute('nbds://u@h/?tls-psk-file=k.psk&tls-certificates=pki'),
    'nbds://u@h/?tls-psk-file=/here/k.psk&tls-certificates=/here/pki',
  );
  t.end();
});

await test('an export that a daemon does not have: those that it has', (t) => {
  t.doesNotThrow(() => checkExport('web', ['db', 'web']));
  t.throws(() => checkExport('wbe', ['db', 'web']), {
    code: 'NOT_FOUND',
    message: '"wbe": there is no such file, and the daemon has no such export; it has "db", "web"',
  });
  t.throws(() => checkExport('redis:7', ['']), {
    message:
      '"redis:7": there is no such file, and the daemon has no such export; for an image of a registry write docker://redis:7; it has the default export ("")',
  });
  t.throws(() => checkExport('x', []), { message: /; it has none$/ });
  const many = Array.from({ length: 25 }, (_, i) => `e${i}`);
  t.throws(() => checkExport('x', many), { message: /"e19" and 5 more$/ });
  t.end();
});
