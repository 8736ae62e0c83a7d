// The key "registries" of daemon.json: every key of it becomes a setting, and wrong values are refused.
import { test } from 'tap';
import * as v from 'valibot';
import {
  isFetchDeadline,
  isMirrorUrl,
  isPlatform,
  isRegistryHost,
  registriesSchema,
  registrySettings,
} from '../../../daemon/config/registries-config.js';
import { DEFAULT_REGISTRY_SETTINGS } from '../../../daemon/config/registry-settings.js';

await test('every key becomes a setting', (t) => {
  const plain = {
    plainHttp: ['localhost:5000'],
    ca: '/ca.pem',
    certificate: '/c.pem',
    key: '/k.pem',
    dockerConfig: '/config.json',
    credentialFile: '/cred.json',
    mirrors: [{ host: 'docker.io', url: 'https://mirror.example' }],
    p2p: 'http://127.0.0.1:19145/dadip2p',
    platform: 'linux/arm64/v8',
    pull: 'missing',
    offline: true,
    fetchDeadline: 7,
    fillRate: 0,
  } as const;
  const cache = { folder: '/cache', size: 5, minFree: 0 };
  const config = v.parse(registriesSchema, { ...plain, cache, upstreamConfig: '/overlaybd.json' });
  t.same(registrySettings(config), {
    ...plain,
    credentialService: null,
    cacheFolder: '/cache',
    cacheSize: 5,
    cacheMinFree: 0,
  });
  t.end();
});

await test('what is left out stays as it is in the base', (t) => {
  t.same(registrySettings({}), DEFAULT_REGISTRY_SETTINGS);
  t.same(registrySettings({ cache: {} }), DEFAULT_REGISTRY_SETTINGS);
  const base = { ...DEFAULT_REGISTRY_SETTINGS, fillRate: 9, cacheFolder: '/base' };
  t.same(registrySettings({ pull: 'never' }, base), { ...base, pull: 'never' });
  t.end();
});

await test('wrong values and unknown keys are refused', (t) => {
  const wrong: object[] = [
    { plainHttp: 'localhost' },
    { plainHttp: ['http://localhost'] },
    { mirrors: [{ host: 'docker.io', url: 'mirror.example' }] },
    { mirrors: [{ host: 'docker.io' }] },
    { platform: 'linux' },
    { pull: 'sometimes' },
    { fetchDeadline: 0 },
    { fillRate: -1 },
    { cache: { size: 0 } },
    { cache: { dir: '/a' } },
    { ca: '' },
    { proxy: 'http://a' },
  ];
  for (const each of wrong) t.notOk(v.is(registriesSchema, each), JSON.stringify(each));
  t.end();
});

await test('the same rules hold for options', (t) => {
  t.same(['a', 'a:1', '[::1]:5000', '::1', 'a/b', ''].map(isRegistryHost), [
    true,
    true,
    true,
    false,
    false,
    false,
  ]);
  t.same(['http://a', 'https://a/v2', 'ftp://a', 'https://'].map(isMirrorUrl), [
    true,
    true,
    false,
    false,
  ]);
  t.same(['linux/amd64', 'linux/arm/v7', 'arm64', 'linux', 'a/b/c/d'].map(isPlatform), [
    true,
    true,
    true,
    false,
    false,
  ]);
  t.same([1, 3600, 0, 3601, 1.5].map(isFetchDeadline), [true, true, false, false, false]);
  t.end();
});
