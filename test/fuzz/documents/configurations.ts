// Damaged configurations: those of the daemon, of other programs that it reads, and answers of token services.
import * as fc from 'fast-check';
import { parseDaemonConfig } from '../../../daemon/config/daemon-config.js';
import { helperFor, loginFor, parseAuthFile } from '../../../daemon/registry/http/auth-file.js';
import { parseHostsToml } from '../../../daemon/registry/http/hosts-toml.js';
import { parseRegistriesConf, ruleFor } from '../../../daemon/registry/http/registries-conf.js';
import { tokenOf } from '../../../daemon/registry/http/token-request.js';
import {
  parseUpstreamLogins,
  upstreamLogin,
} from '../../../daemon/registry/http/upstream-credentials.js';
import { parseUpstreamConfig } from '../../../daemon/registry/upstream-config.js';
import { changedJson, jsonChanges } from './json-changes.js';
import { isOfSyntax, isOurs, mustEnd, type Promised } from './must-end.js';
import { changedText, textChanges } from './text-changes.js';

interface Parser {
  readonly seed: unknown;
  readonly parse: (text: string) => unknown;
  readonly promised: Promised;
}

const HOST = 'registry.example:5000';
const LOGIN = { auth: Buffer.from('user:password').toString('base64') };

const JSON_PARSERS: Readonly<Record<string, Parser>> = {
  'daemon.json': {
    seed: {
      listen: ['tcp://127.0.0.1:10809', { address: 'unix:///run/a.sock', mode: '0660' }],
      exports: { a: '/a', b: ['/b', '/c'], d: { image: 'registry.example/d', partition: 1 } },
      strict: false,
      threads: 2,
      spin: 50,
      readDeadline: 8,
      log: { level: 'info', format: 'json' },
      tls: { mode: 'require', certificate: '/c', key: '/k', clientCa: '/ca' },
      registries: {
        plainHttp: [HOST],
        mirrors: [{ host: HOST, url: 'https://mirror.example/x' }],
        platform: 'linux/amd64',
        pull: 'missing',
        fetchDeadline: 60,
        cache: { folder: '/cache', size: 1e9, minFree: 0 },
      },
      metricsListen: '127.0.0.1:9100',
    },
    parse: (text) => parseDaemonConfig(text, 'daemon.json'),
    promised: isOurs,
  },
  'overlaybd.json': {
    seed: {
      registryCacheDir: '/cache/',
      registryCacheSizeGB: 4,
      credentialConfig: { mode: 'http', path: 'localhost:1/auth', timeout: 1 },
      p2pConfig: { enable: true, address: 'localhost:2/agent/' },
      cacheConfig: { cacheType: 'file', cacheDir: '/cache', cacheSizeGB: 4 },
      download: { enable: true, maxMBps: 100 },
      certConfig: { certFile: '/c', keyFile: '/k' },
      logConfig: { logLevel: 1 },
    },
    parse: (text) => parseUpstreamConfig(text, 'overlaybd.json'),
    promised: isOurs,
  },
  'auth.json': {
    seed: {
      auths: {
        [HOST]: LOGIN,
        [`https://${HOST}/v1/`]: { username: 'u', password: 'p' },
        [`${HOST}/team/app/`]: { identitytoken: 't' },
      },
      credHelpers: { 'other.example': 'helper' },
      credsStore: 'store',
    },
    parse: (text) => {
      const file = parseAuthFile(text);
      return [loginFor(file, HOST, 'team/app'), helperFor(file, HOST)];
    },
    promised: isOfSyntax,
  },
  'cred.json': {
    seed: { auths: { [HOST]: LOGIN, [`${HOST}/team`]: LOGIN } },
    parse: (text) => upstreamLogin(parseUpstreamLogins(text), HOST, 'team/app'),
    promised: isOfSyntax,
  },
  'answer of a token service': {
    seed: { token: 'abc', access_token: 'abc', expires_in: 300, issued_at: '2026-01-01' },
    parse: (text) => tokenOf(Buffer.from(text)),
    promised: () => false,
  },
};

const HOSTS_TOML = `
server = "https://${HOST}"
ca = ["/a.pem", "b.pem"]
client = [["a.cert", "a.key"], "both.pem"]
skip_verify = false

[host."https://mirror.example/x"]
  capabilities = ["pull", "resolve"]
  override_path = true
  proxy = "http://proxy.example"
  [host."https://mirror.example/x".header]
    x-custom = ["a", 'b']
[host.other]
`;
const REGISTRIES_CONF = `
unqualified-search-registries = ["docker.io"]
[[registry]]
prefix = "*.example"
location = "${HOST}/x/"
insecure = true
[[registry.mirror]]
location = "mirror.example/a/"
pull-from-mirror = "tag-only"
[[registry]]
location = "registry.example:5000/team"
blocked = true
`;

const TEXT_PARSERS: Readonly<Record<string, Parser & { readonly seed: string }>> = {
  'hosts.toml': {
    seed: HOSTS_TOML,
    parse: (text) => parseHostsToml(text, '/etc/certs.d/host'),
    promised: isOfSyntax,
  },
  'registries.conf': {
    seed: REGISTRIES_CONF,
    parse: (text) => ruleFor(parseRegistriesConf(text), `${HOST}/team/app`),
    promised: isOfSyntax,
  },
};

export const hostileConfiguration = fc.oneof(
  fc.record({
    kind: fc.constant('JSON' as const),
    file: fc.constantFrom(...Object.keys(JSON_PARSERS)),
    changes: jsonChanges,
  }),
  fc.record({
    kind: fc.constant('TOML' as const),
    file: fc.constantFrom(...Object.keys(TEXT_PARSERS)),
    changes: textChanges,
  }),
);
export type HostileConfiguration =
  typeof hostileConfiguration extends fc.Arbitrary<infer T> ? T : never;

export async function configurationMustBeHandled(played: HostileConfiguration): Promise<string> {
  if (played.kind === 'JSON') {
    const { seed, parse, promised } = JSON_PARSERS[played.file] as Parser;
    const text = changedJson(seed, played.changes);
    return mustEnd(() => parse(text), promised);
  }
  const { seed, parse, promised } = TEXT_PARSERS[played.file] as Parser & { seed: string };
  const text = changedText(seed, played.changes);
  return mustEnd(() => parse(text), promised);
}
