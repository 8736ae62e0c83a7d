// Errors for certificates and keys that cannot be used; nothing is served.
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { loadTls, parsePsk } from '../../../daemon/listen/tls-files.js';
import type { TlsFiles } from '../../../daemon/config/tls-config.js';
import { shortFolder } from '../../support/daemon-process.js';
import { makePki } from '../../support/tls-files.js';
import { requireTool, runTool } from '../../support/tools.js';

await t.test('pre-shared keys: valid files, and every error with its line', async (test) => {
  const key = 'a0'.repeat(16);
  test.same(
    [...parsePsk(`# comment\nalice:${key}\r\n\nweb:01:${'FF'.repeat(32)}\n`, 'f')],
    [
      ['alice', Buffer.alloc(16, 0xa0)],
      ['web:01', Buffer.alloc(32, 0xff)],
    ],
  );
  const cases: [string, RegExp][] = [
    ['', /^f: no keys/],
    ['# nothing\n', /^f: no keys/],
    ['alice', /^f: line 1: not NAME:HEXKEY/],
    [`:${key}`, /line 1: not NAME:HEXKEY/],
    ['a:', /even number of hex digits/],
    [`a:${key}\nb:${key}a`, /^f: line 2: .*even number/],
    [`a:${key}zz`, /hex digits/],
    ['a:abcdef', /3 bytes, expected 16 to 256/],
    [`a:${'00'.repeat(257)}`, /257 bytes/],
    [`a:${key}\na:${key}`, /line 2: a second key/],
    [`${'n'.repeat(129)}:${key}`, /128 bytes/],
  ];
  for (const [text, message] of cases) {
    test.throws(() => parsePsk(text, 'f'), { code: 'BAD_CONFIG', message }, text.slice(0, 20));
  }
  const secret = 'deadbeefdeadbeef';
  try {
    parsePsk(`alice:${secret}`, 'f');
    test.fail('too short');
  } catch (error) {
    test.notMatch(String(error), /deadbeef/, 'the key is not in the message');
  }
});

await t.test('certificates and keys: every error names the file', async (test) => {
  if (!requireTool(test, 'openssl')) return;
  const folder = shortFolder(test);
  const pki = await makePki(folder);
  const files = (changes: Partial<TlsFiles> = {}): TlsFiles => ({
    mode: 'require',
    identity: pki.server,
    clientCa: pki.ca,
    clientNames: ['alice'],
    pskFile: pki.pskFile,
    ...changes,
  });
  for (const { key } of [pki.server, pki.alice, pki.expiredServer]) chmodSync(key, 0o600);
  const good = loadTls(files());
  test.same(good.notes, []);
  test.equal(good.settings.identity?.certificate, pki.server.pem.cert);
  test.same(good.settings.keys?.get('alice'), pki.keys.alice);
  test.match(good.settings, { mode: 'require', clientCa: pki.caPem, clientNames: ['alice'] });

  const write = (name: string, text: string | Buffer): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const { certificate, key } = pki.server;
  const locked = join(folder, 'locked.pem');
  await runTool('openssl', ['pkcs8', '-topk8', '-in', key, '-out', locked, '-passout', 'pass:x']);
  const nothing = write('nothing', 'hello\n');
  const broken = write('broken', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
  const half = write('half', readFileSync(certificate, 'utf8').slice(0, 300));
  const cases: [Partial<TlsFiles>, RegExp][] = [
    [{ identity: { certificate: '/no/such', key } }, /^\/no\/such: ENOENT/],
    [{ identity: { certificate, key: '/no/such' } }, /^\/no\/such: ENOENT/],
    [{ identity: { certificate: folder, key } }, /EISDIR/],
    [{ identity: { certificate: '/dev/zero', key } }, /^\/dev\/zero: not a regular file$/],
    [{ identity: { certificate: nothing, key } }, /nothing: no PEM certificate/],
    [{ identity: { certificate: half, key } }, /half: no PEM certificate/],
    [{ identity: { certificate: broken, key } }, /broken: certificate 1 cannot be read/],
    [{ identity: { certificate, key: nothing } }, /nothing: no PEM private key/],
    [{ identity: { certificate, key: certificate } }, /no PEM private key/],
    [{ identity: { certificate, key: locked } }, /locked\.pem: the key has a passphrase/],
    [
      { identity: { certificate, key: pki.alice.key } },
      /alice-key\.pem: not the key of .*server-cert/,
    ],
    [{ clientCa: '/no/such' }, /^\/no\/such: ENOENT/],
    [{ clientCa: nothing }, /nothing: no PEM certificate/],
    [{ pskFile: '/no/such' }, /^\/no\/such: ENOENT/],
    [{ pskFile: nothing }, /nothing: line 1: not NAME:HEXKEY/],
  ];
  for (const [changes, message] of cases) {
    test.throws(() => loadTls(files(changes)), { code: 'BAD_CONFIG', message }, String(message));
  }

  test.match(loadTls(files({ identity: pki.expiredServer })).notes, [
    /expired-server-cert.*expired/,
  ]);
  chmodSync(key, 0o644);
  test.match(loadTls(files()).notes, [/server-key\.pem: other users/]);
});
