// overlaybd.json: what is taken over, and that the rest is named once.
import { test } from 'tap';
import { parseUpstreamConfig } from '../../../daemon/registry/upstream-config.js';

const parse = (value: unknown) => parseUpstreamConfig(JSON.stringify(value), 'overlaybd.json');
const GB = 1 << 30;

await test('the file that upstream installs', (t) => {
  const { settings, notes } = parse({
    logConfig: { logLevel: 1, logPath: '/var/log/overlaybd.log' },
    cacheConfig: { cacheType: 'file', cacheDir: '/opt/overlaybd/registry_cache', cacheSizeGB: 4 },
    gzipCacheConfig: { enable: true, cacheDir: '/opt/overlaybd/gzip_cache', cacheSizeGB: 4 },
    credentialConfig: { mode: 'file', path: '/opt/overlaybd/cred.json' },
    ioEngine: 0,
    download: { enable: true, delay: 600, delayExtra: 30, maxMBps: 100 },
    p2pConfig: { enable: false, address: 'localhost:19145/dadip2p' },
    exporterConfig: {
      enable: false,
      uriPrefix: '/metrics',
      port: 9863,
      updateInterval: 60_000_000,
    },
    enableAudit: true,
    auditPath: '/var/log/overlaybd-audit.log',
    registryFsVersion: 'v2',
  });
  t.same(settings, {
    credentialFile: '/opt/overlaybd/cred.json',
    cacheFolder: '/opt/overlaybd/registry_cache-nbd',
    cacheSize: 4 * GB,
    fillRate: 100 << 20,
  });
  t.same(notes, [
    'overlaybd.json: the cache is in /opt/overlaybd/registry_cache-nbd: overlaybd itself removes files of /opt/overlaybd/registry_cache',
    'overlaybd.json: these settings have no effect here: logConfig, gzipCacheConfig, ioEngine, download.delay, download.delayExtra, enableAudit, auditPath, registryFsVersion',
  ]);
  t.end();
});

await test("upstream's defaults", (t) => {
  t.same(parse({}), { settings: { credentialFile: '/opt/overlaybd/cred.json' }, notes: [] });
  t.match(parse({ p2pConfig: { enable: true } }).settings, {
    p2p: 'http://localhost:9731/accelerator',
  });
  t.match(parse({ download: { enable: true } }).settings, { fillRate: 100 << 20 });
  t.notMatch(parse({ download: { enable: false, maxMBps: 5 } }).settings, { fillRate: Number });
  t.end();
});

await test('credentials in all modes', (t) => {
  t.match(parse({ credentialFilePath: '/c' }).settings, { credentialFile: '/c' });
  t.match(parse({ credentialFilePath: '/c', credentialConfig: { mode: '' } }).settings, {
    credentialFile: '/c',
  });
  t.match(
    parse({ credentialFilePath: '/c', credentialConfig: { mode: 'file', path: '/d' } }).settings,
    { credentialFile: '/d' },
  );
  const none = { certificate: null, key: null, ca: null };
  t.same(parse({ credentialConfig: { mode: 'uds', path: '/run/auth.sock' } }).settings, {
    credentialService: { mode: 'uds', address: '/run/auth.sock', timeout: 1, ...none },
  });
  const https = {
    mode: 'https',
    path: 'https://auth.example/x',
    timeout: 5,
    client_cert_path: '/c',
    client_key_path: '/k',
    server_ca_path: '/a',
  };
  t.same(parse({ credentialConfig: https }), {
    settings: {
      credentialService: {
        mode: 'https',
        address: https.path,
        timeout: 5,
        certificate: '/c',
        key: '/k',
        ca: '/a',
      },
    },
    notes: [],
  });
  t.throws(() => parse({ credentialConfig: { mode: 'http' } }), {
    code: 'BAD_CONFIG',
    message: /credentialConfig\.path: the mode http needs an address/,
  });
  t.throws(() => parse({ credentialConfig: { mode: 'https_' } }), {
    code: 'BAD_CONFIG',
    message: /credentialConfig\.mode: "https_" is not one of .*did you mean "https"\?/,
  });
  t.end();
});

await test('P2P and certificates', (t) => {
  t.match(parse({ p2pConfig: { enable: true, address: 'localhost:19145/dadip2p' } }).settings, {
    p2p: 'http://localhost:19145/dadip2p',
  });
  t.match(parse({ p2pConfig: { enable: true, address: 'https://a/b' } }).settings, {
    p2p: 'https://a/b',
  });
  t.match(parse({ certConfig: { certFile: '/c', keyFile: '/k' } }).settings, {
    certificate: '/c',
    key: '/k',
  });
  t.notMatch(parse({ certConfig: { certFile: '/c' } }).settings, { certificate: String });
  t.end();
});

await test('the cache: new and old fields', (t) => {
  const old = { registryCacheDir: '/a/', registryCacheSizeGB: 2, cacheType: 'file' };
  t.match(parse(old).settings, { cacheFolder: '/a-nbd', cacheSize: 2 * GB });
  t.match(parse({ ...old, cacheConfig: { cacheDir: '/b', cacheSizeGB: 3 } }).settings, {
    cacheFolder: '/a-nbd',
    cacheSize: 2 * GB,
  });
  t.match(
    parse({ ...old, cacheConfig: { cacheType: 'file', cacheDir: '/b', cacheSizeGB: 3 } }).settings,
    { cacheFolder: '/b-nbd', cacheSize: 3 * GB },
  );
  const ocf = parse({ cacheConfig: { cacheType: 'ocf', cacheDir: '/b', refillSize: 1 } });
  t.match(ocf.settings, { cacheFolder: '/b-nbd' });
  t.match(ocf.notes, [
    /of type file, and not ocf/,
    /-nbd/,
    /no effect here: cacheConfig\.refillSize$/,
  ]);
  t.notMatch(parse({ cacheType: 'download', registryCacheDir: '/a' }).settings, {
    cacheFolder: String,
  });
  t.notMatch(parse({ registryCacheSizeGB: 0 }).settings, { cacheSize: Number });
  t.end();
});

await test('wrong values and hostile keys', (t) => {
  const bad = (value: unknown, message: RegExp) =>
    t.throws(() => parse(value), { code: 'BAD_CONFIG', message });
  bad([], /an array is not an object/);
  bad(
    { download: { enable: 'yes' } },
    /overlaybd\.json: download\.enable: "yes" is not true or false/,
  );
  bad({ registryCacheSizeGB: -1 }, /registryCacheSizeGB: -1 is not a whole number from 0/);
  bad({ p2pConfig: [] }, /p2pConfig: an array is not an object/);
  t.throws(() => parseUpstreamConfig('{', 'x'), { code: 'BAD_CONFIG', message: /^x: not JSON/ });
  const many = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`k${i}`, 1]));
  t.match(parse({ ...many, ['\u001b[31m']: 1 }).notes, [/k0, k1, .* and 11 more$/]);
  t.match(parse({ ['\u001b[31m']: 1, ['__proto__x']: {} }).notes, [
    /here: \\u\{1b\}\[31m, __proto__x$/,
  ]);
  t.end();
});

await test('a file with more keys than a call has arguments', (t) => {
  const keys = Array.from({ length: 200_000 }, (_, i) => [`key${i}`, 1]);
  const { notes } = parseUpstreamConfig(JSON.stringify(Object.fromEntries(keys)), 'file');
  t.match(notes, [/no effect here: key0, .* and 199960 more$/]);
  t.end();
});
