// Logins in URLs are not shown; ports, tags and digests are.
import { test } from 'tap';
import { withoutLogin } from '../../../daemon/lib/without-login.js';

await test('logins of URLs', (t) => {
  t.equal(withoutLogin('https://me:secret@host/v2'), 'https://...@host/v2');
  t.equal(withoutLogin('x=http://me:se/cr@et@host:1/v2'), 'x=http://...@host:1/v2');
  t.equal(withoutLogin('docker://me:secret@host/app'), 'docker://...@host/app');
  t.equal(withoutLogin('htp://token@host and ftp://a:b@c'), 'htp://...@host and ftp://...@c');
  t.end();
});

await test('what is no login stays', (t) => {
  for (const text of [
    'https://host:5000/v2',
    'docker://host:5000/app@wrong',
    `docker://host:5000/app:tag@sha256:${'0'.repeat(64)}`,
    `https://host/app@sha256:${'0'.repeat(64)}`,
    'host:5000/app:tag@latest',
    'oci:folder@2',
  ]) {
    t.equal(withoutLogin(text), text);
  }
  t.end();
});
