// The settings of registries that a request names, against those of the daemon.
import { test } from 'tap';
import { DEFAULT_REGISTRY_SETTINGS } from '../../../daemon/config/registry-settings.js';
import { checkWanted } from '../../../daemon/server/wanted-settings.js';

const OWN = {
  ...DEFAULT_REGISTRY_SETTINGS,
  plainHttp: ['a:5000', 'b'],
  mirrors: [{ host: 'docker.io', url: 'https://mirror.example' }],
  platform: 'linux/arm64',
};

await test('what the daemon has already is accepted', (t) => {
  for (const wanted of [
    {},
    { plainHttp: ['b'] },
    { plainHttp: ['b', 'a:5000'] },
    { mirrors: [{ url: 'https://mirror.example', host: 'docker.io' }] },
    { platform: 'linux/arm64', pull: 'newer', offline: false, cacheFolder: null },
  ]) {
    t.doesNotThrow(() => checkWanted(wanted, OWN), JSON.stringify(wanted));
  }
  t.end();
});

await test('anything else is refused, with the keys of daemon.json', (t) => {
  for (const [wanted, keys] of [
    [{ plainHttp: ['b', 'c'] }, 'registries.plainHttp'],
    [{ plainHttp: 'b' }, 'registries.plainHttp'],
    [{ mirrors: [{ host: 'docker.io', url: 'https://other.example' }] }, 'registries.mirrors'],
    [{ platform: 'linux/amd64', pull: 'newer' }, 'registries.platform'],
    [{ cacheFolder: '/c', offline: true }, 'registries.cache.folder, registries.offline'],
    [{ credentialService: { mode: 'uds' } }, 'registries.upstreamConfig'],
  ] as const) {
    const message = `the running daemon has other settings of registries: ${keys}. Set them in its daemon.json, or leave the options out`;
    t.throws(() => checkWanted(wanted, OWN), { code: 'BAD_ARGUMENT', message });
  }
  t.end();
});
