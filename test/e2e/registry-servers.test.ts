// Images in real registries: passwords and tokens, TLS, mirrors with and without slices, a proxy.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { DaemonProcess, shortFolder } from '../support/daemon-process.js';
import { RawNbdClient } from '../support/nbd-client.js';
import { writeLayerFiles, type LayerFiles } from '../support/registry/layer-files.js';
import { pushImage } from '../support/registry/push-image.js';
import {
  startDockerRegistry,
  startNginxMirror,
  startSquid,
  type RunningServer,
} from '../support/registry/real-servers.js';
import { RegistryPlace, type RegistryLogin } from '../support/registry/registry-place.js';
import { compare, REPOSITORY } from '../support/registry/remote-image.js';
import { startTokenServer } from '../support/registry/token-server.js';
import { makePki } from '../support/tls-files.js';
import { requireTool } from '../support/tools.js';

t.setTimeout(170_000);

const LOGIN = { user: 'user', password: 'a:secret' };

async function push(
  test: Test,
  registry: RunningServer,
  login: RegistryLogin,
): Promise<LayerFiles> {
  const files = writeLayerFiles(shortFolder(test), { size: 6 << 20 });
  const place = new RegistryPlace(registry.url, REPOSITORY, login);
  await pushImage(place, { blobs: files.blobs, tag: 'app' });
  await place.close();
  return files;
}

/** A docker config.json with the login for the host. */
function loginFile(test: Test, host: string, { user, password } = LOGIN): string {
  const path = join(shortFolder(test), 'config.json');
  const auth = Buffer.from(`${user}:${password}`).toString('base64');
  writeFileSync(path, JSON.stringify({ auths: { [host]: { auth } } }), { mode: 0o600 });
  return path;
}

/** Serves the image with an empty cache, and reads it all. */
async function readAll(
  test: Test,
  registry: RunningServer,
  { device }: LayerFiles,
  options: readonly string[],
  what: string,
  variables: Readonly<Record<string, string>> = {},
): Promise<DaemonProcess> {
  const cache = ['--cache-dir', join(shortFolder(test), 'cache'), '--fetch-deadline', '100'];
  const name = `${registry.host}/${REPOSITORY}:app`;
  const daemon = await DaemonProcess.start(test, [name, ...cache, ...options], { variables });
  const client = await RawNbdClient.open(daemon.unix);
  test.equal(await compare(client, device), null, what);
  await client.disconnect();
  await daemon.stop(test);
  test.notMatch(daemon.log, LOGIN.password, 'no secret in the log');
  return daemon;
}

await t.test('TLS and passwords; nginx and squid before them', async (test) => {
  if (!requireTool(test, 'docker-registry', 'htpasswd', 'openssl')) return;
  const pki = await makePki(shortFolder(test));
  const auth = { kind: 'htpasswd', ...LOGIN } as const;
  const registry = await startDockerRegistry(test, { tls: pki.server, auth });
  const files = await push(test, registry, { ca: pki.caPem, ...LOGIN });
  const options = ['--registry-ca', pki.ca, '--registry-config', loginFile(test, registry.host)];
  await readAll(test, registry, files, options, 'directly');

  if (requireTool(test, 'nginx')) {
    for (const slices of [true, false]) {
      const authorization = `Basic ${Buffer.from(`${LOGIN.user}:${LOGIN.password}`).toString('base64')}`;
      const upstream = { upstream: registry, ca: pki.ca, authorization };
      const mirror = await startNginxMirror(test, { ...upstream, slices });
      const mirrored = ['--mirror', `${registry.host}=${mirror.url}`, '--plain-http', mirror.host];
      const what = `a mirror ${slices ? 'with' : 'without'} slices`;
      await readAll(test, registry, files, [...options, ...mirrored], what);
      await mirror.stop();
      await readAll(test, registry, files, [...options, ...mirrored], `${what} that is down`);
    }
  }
  if (requireTool(test, 'squid')) {
    const squid = await startSquid(test);
    const proxied = { HTTPS_PROXY: squid.url, NO_PROXY: '' };
    await readAll(test, registry, files, options, 'through squid', proxied);
    await squid.stop();
    test.match(readFileSync(squid.log, 'utf8'), `CONNECT ${registry.host}`);
  }
});

await t.test('tokens, with a password and without', async (test) => {
  if (!requireTool(test, 'docker-registry', 'openssl')) return;
  const tokens = await startTokenServer(test, { ...LOGIN, anonymousPull: true });
  const auth = { kind: 'token', realm: tokens.realm, certificate: tokens.certificate } as const;
  const registry = await startDockerRegistry(test, { auth });
  const files = await push(test, registry, LOGIN);
  const plain = ['--plain-http', registry.host];
  await readAll(test, registry, files, plain, 'anonymously');
  const right = ['--registry-config', loginFile(test, registry.host)];
  const before = tokens.issued();
  await readAll(test, registry, files, [...plain, ...right], 'with a password');
  test.equal(tokens.issued(), before + 1, 'one token for all that was asked at once');
  const wrong = loginFile(test, registry.host, { user: 'user', password: 'old' });
  await readAll(test, registry, files, [...plain, '--registry-config', wrong], 'a refused login');
});
