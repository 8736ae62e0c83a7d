// No secret is ever in what the daemon says or keeps: logins of every kind, tokens, signed URLs, proxies, keys, with
// everything that goes right and everything that goes wrong, from registries that repeat what they were sent.
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { ExportList } from '../../daemon/control/api.js';
import { askRaw, socketOf, waitForControl } from '../support/control.js';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { tick } from '../support/nbd-client.js';
import { readMetrics } from '../support/metrics-reader.js';
import { FaultFront } from '../support/registry/fault-front.js';
import {
  comparePatiently,
  openPatiently,
  remoteImage,
  REPOSITORY,
} from '../support/registry/remote-image.js';
import { Telltale, TOLD_SIGNATURE, TOLD_TOKEN } from '../support/registry/telltale.js';
import { makePki } from '../support/tls-files.js';

t.setTimeout(280_000);

const MIB = 1 << 20;

/** One of each kind, with characters that URLs and base64 have other forms of. */
const SECRETS = {
  basic: 'ba5ic?pa/ss+wo%rd',
  bearer: 'b3arer?pa/ss+wo%rd',
  upstream: 'upstr3am?pa/ss+wo%rd',
  told: 't0ld?pa/ss+wo%rd',
  identity: 'identity.t0ken-of+a/login~',
  registryToken: 'registry.t0ken-of+a/login~',
  helper: 'h3lper?pa/ss+wo%rd',
  proxy: 'pr0xy?pa/ss+wo%rd',
  mirror: 'm1rror-pa-ss-wo-rd',
  service: 's3rvice-key-of-a-query',
  broken: 'brok3n-file-pa-ss-wo-rd',
  url: 'l0gin-in-a-url-pa-ss',
  TOLD_TOKEN,
  TOLD_SIGNATURE,
};
const USER = 'the-user';

/** What the telltale does, in its names of repositories. */
const TOLD = ['bearer', 'granted', 'basic', 'signed'].flatMap((how) =>
  [403, 500].map((status) => `${how}-${status}`),
);

const login = (password: string): object => {
  return { auth: Buffer.from(`${USER}:${password}`).toString('base64') };
};

await t.test('nothing that the daemon says or keeps has a secret', async (test) => {
  const pki = await makePki(shortFolder(test));
  const bearer = await remoteImage(test, {
    front: { auth: { scheme: 'bearer', users: { [USER]: SECRETS.bearer } }, redirect: 'store' },
  });
  const { files, layout } = bearer;
  const start = (options: object): Promise<FaultFront> =>
    FaultFront.start(test, { repositories: { [REPOSITORY]: layout }, ...options });
  const basic = await start({ auth: { scheme: 'basic', users: { [USER]: SECRETS.basic } } });
  const upstream = await start({ auth: { scheme: 'basic', users: { [USER]: SECRETS.upstream } } });
  const identity = await start({ auth: { scheme: 'bearer', identityToken: SECRETS.identity } });
  const strange = await start({ tls: pki.stranger.pem });
  const telltale = await Telltale.start(test);
  const named = telltale.host.replace('127.0.0.1', 'localhost');
  const fronts = [bearer.front, basic, upstream, identity];

  const home = shortFolder(test);
  const write = (name: string, value: unknown, mode = 0o600): string => {
    const path = join(home, name);
    writeFileSync(path, typeof value === 'string' ? value : JSON.stringify(value), { mode });
    return path;
  };
  const logins = write('logins.json', {
    auths: {
      [bearer.front.host]: login(SECRETS.bearer),
      [basic.host]: login(SECRETS.basic),
      [identity.host]: { identitytoken: SECRETS.identity },
      [strange.host]: login(SECRETS.told),
      [telltale.host]: login(SECRETS.told),
      'registry.example': login(SECRETS.told),
      'plain.example': login(SECRETS.told),
      ...Object.fromEntries(
        TOLD.flatMap((each) => [
          [`${telltale.host}/${each}/identity`, { identitytoken: SECRETS.identity }],
          [`${telltale.host}/${each}/token`, { registrytoken: SECRETS.registryToken }],
        ]),
      ),
    },
    credHelpers: { [named]: 'chatty' },
  });
  const answer = JSON.stringify({ ServerURL: named, Username: USER, Secret: SECRETS.helper });
  write('docker-credential-chatty', `#!/bin/sh\necho '${answer}'; echo '${answer}' >&2\n`, 0o755);
  const credentials = write('cred.json', { auths: { [upstream.host]: login(SECRETS.upstream) } });
  const service = `http://${telltale.host}/service?key=${SECRETS.service}`;
  const overlaybd = write('overlaybd.json', {
    credentialConfig: { mode: 'http', path: service },
  });
  mkdirSync(join(home, '.docker'));
  write('.docker/config.json', `{"auths":{"x":{"auth":"${SECRETS.broken}"}}`);
  const conf = write('registries.conf', `[[registry]]\nlocation = "x:${SECRETS.broken}@y`);
  const repoBlobUrl = `https://${USER}:${SECRETS.url}@${basic.host}/v2/${REPOSITORY}/blobs`;
  const layers = write('config.v1.json', {
    repoBlobUrl,
    lowers: [{ digest: `sha256:${'0'.repeat(64)}`, size: 1, dir: home }],
  });
  const whose = ['identity', 'token', 'password'];
  const told = TOLD.flatMap((each) => whose.map((who) => `${telltale.host}/${each}/${who}:tag`));
  const images: Record<string, string> = {
    bearer: bearer.name,
    basic: basic.name(REPOSITORY, 'app'),
    upstream: upstream.name(REPOSITORY, 'app'),
    identity: identity.name(REPOSITORY, 'app'),
    strange: strange.name(REPOSITORY, 'app'),
    proxied: 'registry.example/app:tag',
    plain: 'plain.example/app:tag',
    helped: `${named}/basic-403/app:tag`,
    layers,
    ...Object.fromEntries(told.map((name, i) => [`told${i}`, name])),
  };
  const plain = [telltale.host, named, 'plain.example'];
  const registries = {
    plainHttp: [...fronts.flatMap(({ host, storeHost }) => [host, storeHost]), ...plain],
    dockerConfig: logins,
    credentialFile: credentials,
    upstreamConfig: overlaybd,
    certificate: pki.alice.certificate,
    key: pki.alice.key,
    mirrors: [
      {
        host: bearer.front.host,
        url: `http://${USER}:${SECRETS.mirror}@${telltale.host}/?${SECRETS.mirror}`,
      },
    ],
  };
  const config = write('daemon.json', { exports: images, registries });
  const proxies = [telltale.host, '127.0.0.1:1'].map(
    (host) => `http://${USER}:${encodeURIComponent(SECRETS.proxy)}@${host}`,
  );

  const said: [where: string, bytes: Buffer][] = [];
  await Promise.all(
    (['json', 'pretty'] as const).map(async (format, i) => {
      const folder = shortFolder(test);
      const [state, cache, metrics] = ['state', 'cache', 'm'].map((name) => join(folder, name)) as [
        string,
        string,
        string,
      ];
      const variables = {
        HOME: home,
        DOCKER_CONFIG: '',
        PATH: `${home}:${process.env['PATH']}`,
        HTTPS_PROXY: proxies[i] ?? '',
        HTTP_PROXY: proxies[i] ?? '',
        NO_PROXY: '127.0.0.1,localhost',
        CONTAINERS_REGISTRIES_CONF: conf,
      };
      const kept = ['--state', state, '--cache-dir', cache, '--cache-min-free', '0'];
      const logging = ['--log-level', 'debug', '--log-format', format];
      const args = ['--config', config, ...kept, ...logging, '--fetch-deadline', '2'];
      const more = [
        '--tls',
        'on',
        '--tls-psk',
        pki.pskFile,
        '--metrics-listen',
        `unix://${metrics}`,
      ];
      const daemon = await DaemonProcess.start(test, [...args, ...more], { variables });
      const ask = async (path: string, method = 'GET', body?: object): Promise<string> => {
        const text = body ? { body: JSON.stringify(body) } : {};
        const { code, body: got } = await askRaw(socketOf(state), { method, path, ...text });
        said.push([`${format} ${path}`, Buffer.from(got)]);
        return code < 300 ? got : '';
      };
      await waitForControl(socketOf(state));
      await ask('/v1/trace', 'POST', {});
      for (const name of ['bearer', 'basic', 'upstream', 'identity']) {
        const client = await openPatiently(daemon.unix, name);
        test.equal(
          await comparePatiently(client, files.device, 0, MIB),
          null,
          `${format}: ${name}`,
        );
        client.destroy();
      }
      for (;;) {
        const { exports } = JSON.parse(await ask('/v1/exports')) as ExportList;
        if (exports.every((each) => each.state !== 'opening')) {
          test.equal(exports.filter((each) => each.state === 'served').length, 4);
          break;
        }
        await tick(100);
      }
      said.push([`${format} metrics`, Buffer.from(await readMetrics(metrics))]);
      for (const path of ['/v1/status', '/v1/devices', '/v1/cache', '/v1/hosts', '/v1/warm']) {
        await ask(path);
      }
      await ask('/v1/trace', 'DELETE');
      const { stdout } = await runDaemon(['status', '--json', '--state', state]);
      test.match(JSON.parse(stdout), { exports: Array });
      said.push([`${format} status --json`, Buffer.from(stdout)]);
      for (const path of filesIn(folder)) said.push([`${format} ${path}`, readFileSync(path)]);
      await daemon.stop(test);
      test.match(daemon.log, /its explanation repeats a secret/);
      said.push([`${format} log`, Buffer.from(daemon.log)]);
    }),
  );
  test.ok(
    said.some(([where]) => where.includes('/cache/')) &&
      said.some(([where]) => where.includes('/state/')),
  );
  for (const each of [
    'told',
    'identity',
    'registryToken',
    'helper',
    'proxy',
    'TOLD_TOKEN',
  ] as const) {
    const forms = formsOf(SECRETS[each]);
    test.ok(
      [...telltale.logins].some((sent) => forms.some((form) => sent.includes(form))),
      each,
    );
  }
  const key = pki.alice.pem.key.split('\n').filter((line) => /^[\w+/=]{32,}$/.test(line));
  const preShared = Object.values(pki.keys).map((each) => each.toString('hex'));
  const secrets = [...Object.values(SECRETS), ...key, ...preShared];
  for (const [where, bytes] of said) {
    const found = secrets.filter((each) => formsOf(each).some((form) => bytes.includes(form)));
    test.same(found, [], where);
  }
});

/** A secret as it may be written, in base64 also with what may come before it. */
function formsOf(secret: string): string[] {
  const coded = [secret, `${USER}:${secret}`].flatMap((text) =>
    [0, 1, 2].flatMap((shift) => {
      const bytes = Buffer.from(' '.repeat(shift) + text);
      // The first and the last group have bytes of neighbours.
      return (['base64', 'base64url'] as const).map((form) => bytes.toString(form).slice(4, -4));
    }),
  );
  return [
    secret,
    encodeURIComponent(secret),
    new URLSearchParams({ secret }).toString().slice(7),
    ...coded,
  ];
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile());
}
