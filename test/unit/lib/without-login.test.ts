// Logins in URLs are not shown; ports, tags and digests are.
import { test } from 'tap';
import { withoutLogin } from '../../../daemon/lib/without-login.js';

await test('logins of URLs', (t) => {
  t.equal(withoutLogin('https://me:secret@host/v2'), 'https://...@host/v2');
  t.equal(withoutLogin('x=http://me:se/cr@et@host:1/v2'), 'x=http://...@host:1/v2');
  t.equal(withoutLogin('docker://me:secret@host/app'), 'docker://...@host/app');
  t.equal(withoutLogin('docker://a/b,https://me:secret@host'), 'docker://a/b,https://...@host');
  t.equal(withoutLogin('docker://a@b@host/app@c'), 'docker://...@host/app@c');
  const digest = `sha256:${'0'.repeat(64)}`;
  t.equal(withoutLogin(`https://me:secret@host/app@${digest}`), `https://...@host/app@${digest}`);
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
    `docker://host@sha256:${'0'.repeat(64)}`,
    'https://',
  ]) {
    t.equal(withoutLogin(text), text);
  }
  t.end();
});

await test('texts of outside that look like many URLs take no time', (t) => {
  // Each of these took longer than a minute when the time grew with the square of the length.
  for (const part of ['a://', 'a.', '@sha1:', 'docker://', 'a://b@sha1:']) {
    const text = `x://${part.repeat(200_000)}`;
    t.equal(withoutLogin(text).length, text.length);
  }
  t.end();
});
