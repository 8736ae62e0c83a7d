// Which TLS settings go together, and what missing ones default to; no files.
import t from 'tap';
import { resolveTls, tlsOf } from '../../../daemon/cli/options/tls.js';
import { parseDaemonConfig } from '../../../daemon/config/daemon-config.js';
import { tlsFiles, type TlsConfig } from '../../../daemon/config/tls-config.js';

const server = { certificate: 'c', key: 'k' };
const parse = (tls: unknown) => parseDaemonConfig(JSON.stringify({ tls }), 'daemon.json').tls;

await t.test('missing TLS settings follow from the given ones', async (test) => {
  test.equal(tlsFiles({}), null);
  test.equal(tlsFiles({ mode: 'off' }), null);
  test.equal(
    tlsFiles({ mode: 'off', ...server, clientCa: 'a' }),
    null,
    'switched off, although other settings are kept',
  );
  test.same(tlsFiles(server), {
    mode: 'require',
    identity: server,
    clientCa: null,
    clientNames: null,
    pskFile: null,
  });
  test.match(tlsFiles({ mode: 'on', ...server }), { mode: 'on' });
  test.match(tlsFiles({ pskFile: 'p' }), { mode: 'require', identity: null, pskFile: 'p' });
  const all = { ...server, clientCa: 'a', clientNames: ['alice'], pskFile: 'p' };
  test.match(tlsFiles(all), { identity: server, clientCa: 'a', clientNames: ['alice'] });
});

await t.test('contradictory TLS settings are refused', async (test) => {
  const cases: [TlsConfig, RegExp][] = [
    [{ mode: 'on' }, /"on" needs a certificate/],
    [{ mode: 'require' }, /"require" needs a certificate/],
    [{ mode: 'require', clientCa: 'a' }, /needs a certificate/],
    [{ certificate: 'c' }, /a certificate without key/],
    [{ key: 'k', pskFile: 'p' }, /a key without certificate/],
    [{ clientCa: 'a', pskFile: 'p' }, /a CA for clients needs a certificate/],
    [{ ...server, clientNames: ['alice'] }, /have no effect without a CA/],
    [{ ...server, pskFile: 'p' }, /have no effect beside a certificate/],
  ];
  for (const [config, message] of cases) {
    test.throws(() => tlsFiles(config), { code: 'BAD_CONFIG', message }, JSON.stringify(config));
  }
});

await t.test('TLS settings of daemon.json', async (test) => {
  const tls = { mode: 'on', ...server, clientCa: 'a', clientNames: ['alice', 'bob'], pskFile: 'p' };
  test.same(parse(tls), tls);
  for (const [wrong, message] of [
    [{ mode: 'maybe' }, /tls\.mode/],
    [{ cert: 'c' }, /tls: unknown key "cert"/],
    [{ clientNames: [] }, /tls\.clientNames/],
    [{ clientNames: [''] }, /tls\.clientNames\.0/],
    [{ key: 5 }, /tls\.key/],
    [[], /tls/],
  ] as const) {
    test.throws(() => parse(wrong), { code: 'BAD_CONFIG', message }, JSON.stringify(wrong));
  }
  test.same(resolveTls({ mode: 'on', certificate: 'c', key: '/k' }, '/etc/x'), {
    mode: 'on',
    certificate: '/etc/x/c',
    key: '/k',
  });
});

await t.test('the command line takes precedence, value by value', async (test) => {
  const config: TlsConfig = { mode: 'on', ...server, clientCa: 'a', clientNames: ['alice'] };
  test.match(tlsOf({}, config), { mode: 'on', clientNames: ['alice'] });
  test.equal(tlsOf({ tls: 'off' }, config), null);
  test.match(tlsOf({ tls: 'require', 'tls-client-name': ['bob'] }, config), {
    mode: 'require',
    identity: server,
    clientNames: ['bob'],
  });
  test.match(tlsOf({ 'tls-psk': 'p' }), { mode: 'require', pskFile: 'p' });
  test.equal(tlsOf({}), null);
});
