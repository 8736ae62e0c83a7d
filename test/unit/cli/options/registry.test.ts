// The options about registries: what wins over what, and wrong values.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { parseCommandLine } from '../../../../daemon/cli/command-line.js';
import {
  mergedRegistries,
  registriesOf,
  sizeOf,
  wantedRegistries,
  type RegistryArguments,
} from '../../../../daemon/cli/options/registry.js';
import { parseDaemonConfig } from '../../../../daemon/config/daemon-config.js';
import type { RegistriesConfig } from '../../../../daemon/config/registries-config.js';
import { DEFAULT_REGISTRY_SETTINGS } from '../../../../daemon/config/registry-settings.js';

await test('options win over the configuration, and that over defaults', (t) => {
  t.same(mergedRegistries({}, {}), DEFAULT_REGISTRY_SETTINGS);
  const config = { pull: 'missing', fillRate: 5, cache: { size: 7 } } as const;
  const { pull, fillRate, cacheSize } = mergedRegistries({ 'fill-rate': '1M' }, config);
  t.same({ pull, fillRate, cacheSize }, { pull: 'missing', fillRate: 1 << 20, cacheSize: 7 });
  t.end();
});

await test("upstream's overlaybd.json takes the place of defaults", async (t) => {
  const folder = t.testdir();
  const path = join(folder, 'overlaybd.json');
  const upstream = {
    cacheConfig: { cacheType: 'file', cacheDir: '/c', cacheSizeGB: 1 },
    download: { enable: true, maxMBps: 2 },
    ioEngine: 0,
  };
  writeFileSync(path, JSON.stringify(upstream));
  const notes: string[] = [];
  const tell = (note: string): void => void notes.push(note);
  const settings = await registriesOf({ 'upstream-config': path, 'cache-size': '5' }, tell);
  t.match(settings, { cacheFolder: '/c-nbd', cacheSize: 5, fillRate: 2 << 20, pull: 'newer' });
  t.match(notes, [/-nbd/, /these settings have no effect here: ioEngine$/]);
  const config = { upstreamConfig: path, fillRate: 9 };
  const merged = await registriesOf({}, tell, config);
  t.match(merged, { cacheFolder: '/c-nbd', fillRate: 9 });
  t.notOk('upstreamConfig' in merged);
  writeFileSync(path, '{"ioEngine"');
  const bad = { code: 'BAD_CONFIG', message: /overlaybd\.json: not JSON/ };
  await t.rejects(registriesOf({}, tell, config), bad);
  writeFileSync(path, Buffer.alloc((1 << 20) + 1));
  await t.rejects(registriesOf({}, tell, config), { code: 'LIMIT' });
  const none = { 'upstream-config': join(folder, 'none') };
  await t.rejects(registriesOf(none, tell), { code: 'NOT_FOUND' });
});

await test('the settings that a command line names, for a daemon that runs already', async (t) => {
  const folder = t.testdir({ 'overlaybd.json': '{"download":{"enable":true,"maxMBps":2}}' });
  const notes: string[] = [];
  const tell = (note: string): void => void notes.push(note);
  t.same(await wantedRegistries({}, tell), {});
  const args = { 'upstream-config': join(folder, 'overlaybd.json'), platform: 'linux/arm64' };
  t.match(await wantedRegistries(args, tell), { fillRate: 2 << 20, platform: 'linux/arm64' });
  t.same(await wantedRegistries({ offline: false, 'cache-size': '5' }, tell), {
    offline: false,
    cacheSize: 5,
  });
  await t.rejects(wantedRegistries({ platform: 'linux' }, tell), { code: 'BAD_ARGUMENT' });
});

await test('wrong values', (t) => {
  const wrong: [RegistryArguments, RegExp][] = [
    [{ 'plain-http': ['http://a'] }, /--plain-http "http:\/\/a": not a host/],
    [{ mirror: ['docker.io'] }, /--mirror "docker\.io": not HOST=URL/],
    [{ platform: 'linux' }, /--platform "linux": not OS\/ARCH/],
    [{ 'fetch-deadline': 0 }, /--fetch-deadline: not a whole number from 1/],
    [{ 'cache-size': '0' }, /--cache-size "0": not a number of bytes/],
    [{ 'registry-cert': 'a' }, /each needs the other/],
  ];
  for (const [args, message] of wrong) {
    t.throws(() => mergedRegistries(args, {}), { code: 'BAD_ARGUMENT', message });
  }
  t.end();
});

await test('sizes', (t) => {
  t.equal(sizeOf('--x', undefined, 0), undefined);
  t.equal(sizeOf('--x', '512M', 0), 512 << 20);
  t.equal(sizeOf('--x', '1.5KiB', 0), 1536);
  t.equal(sizeOf('--x', '0', 0), 0);
  t.throws(() => sizeOf('--x', '-1', 0), { code: 'BAD_ARGUMENT' });
  t.throws(() => sizeOf('--x', '9999999T', 0), { code: 'BAD_ARGUMENT' });
  t.end();
});

/** Options that scripts rely on: words of a command line, and the same in `registries` of daemon.json. */
const EVERYWHERE: readonly (readonly [words: string, config: RegistriesConfig])[] = [
  ['--plain-http a:5000 --plain-http b', { plainHttp: ['a:5000', 'b'] }],
  ['--registry-ca /ca', { ca: '/ca' }],
  ['--registry-cert /cert --registry-key /key', { certificate: '/cert', key: '/key' }],
  ['--registry-config /config.json', { dockerConfig: '/config.json' }],
  [
    '--mirror a=https://m --mirror b=http://n',
    { mirrors: [mirror('a', 'https'), mirror('b', 'http')] },
  ],
  ['--p2p http://localhost:9731/x', { p2p: 'http://localhost:9731/x' }],
  ['--platform linux/arm64/v8', { platform: 'linux/arm64/v8' }],
  ['--pull missing', { pull: 'missing' }],
  ['--offline', { offline: true }],
  ['--cache-dir /cache', { cache: { folder: '/cache' } }],
  ['--cache-size 20G', { cache: { size: 20 * 2 ** 30 } }],
  ['--cache-min-free 0', { cache: { minFree: 0 } }],
  ['--fetch-deadline 7', { fetchDeadline: 7 }],
  ['--fill-rate 10M', { fillRate: 10 << 20 }],
];

function mirror(host: string, scheme: 'http' | 'https') {
  return { host, url: `${scheme}://${scheme === 'https' ? 'm' : 'n'}` };
}

const COMMANDS = ['serve', 'attach', 'mount', 'inspect', 'verify', 'warm', 'cache'];

async function parsed(command: string, words: readonly string[]): Promise<RegistryArguments> {
  const line = [command, 'one', 'two', ...words];
  const result = await parseCommandLine(line, () => Promise.resolve('1'));
  if (result.kind !== 'command') throw new Error(line.join(' '));
  return result.args;
}

function docs(name: string): string {
  return readFileSync(new URL(`../../../../../docs/${name}`, import.meta.url), 'utf8');
}

await test('every command has every option, daemon.json has it too, and both mean the same', async (t) => {
  const [cli, configuration] = [docs('cli.md'), docs('configuration.md')];
  for (const [words, config] of EVERYWHERE) {
    const json = JSON.stringify({ registries: config });
    const same = mergedRegistries({}, parseDaemonConfig(json, 'daemon.json').registries ?? {});
    for (const command of COMMANDS) {
      const args = await parsed(command, words.split(' '));
      t.same(mergedRegistries(args, {}), same, `${command} ${words}`);
    }
    for (const [option] of words.matchAll(/--[\w-]+/g)) t.match(cli, `\`${option}`, 'cli.md');
    const { cache = {}, ...keys } = config;
    for (const key of [
      ...Object.keys(keys),
      ...Object.keys(cache).map((each) => `cache.${each}`),
    ]) {
      t.match(configuration, `\`${key}\``, 'configuration.md');
    }
  }
});

await test('of an option that takes one value the last one counts; a list has all', async (t) => {
  for (const command of COMMANDS) {
    const twice = [
      '--pull',
      'always',
      '--cache-size',
      '1G',
      '--pull',
      'never',
      '--cache-size',
      '2',
    ];
    t.match(await parsed(command, twice), { pull: 'never', 'cache-size': '2' }, command);
    t.match(await parsed(command, ['--offline', '--no-offline']), { offline: false }, command);
    const list = await parsed(command, ['--plain-http', 'a', '--plain-http', 'b']);
    t.same(list['plain-http'], ['a', 'b'], command);
  }
});
