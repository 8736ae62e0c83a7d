// Images go into docker-registry and come out of it, directly and through nginx and squid; skopeo takes them from
// the fault front, which so has an independent client.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { Agent, ProxyAgent, request, type Dispatcher } from 'undici';
import { shortFolder } from '../support/daemon-process.js';
import { FaultFront } from '../support/registry/fault-front.js';
import { ImageLayout } from '../support/registry/image-layout.js';
import { sha256 } from '../support/registry/image-place.js';
import { writeLayerFiles } from '../support/registry/layer-files.js';
import { OCI } from '../support/registry/media-types.js';
import { pushImage, type Writer } from '../support/registry/push-image.js';
import {
  startDockerRegistry,
  startNginxMirror,
  startSquid,
} from '../support/registry/real-servers.js';
import { RegistryPlace } from '../support/registry/registry-place.js';
import { startTokenServer } from '../support/registry/token-server.js';
import { makePki } from '../support/tls-files.js';
import { requireTool, runTool } from '../support/tools.js';
import { BLOB, DIGEST, layout, REPOSITORY } from '../unit/support/registry/front-client.js';

const LOGIN = { user: 'user', password: 'a:secret' };
const BASIC = `Basic ${Buffer.from(`${LOGIN.user}:${LOGIN.password}`).toString('base64')}`;
const WRITERS: readonly Writer[] = ['convertor', 'convertor-oci', 'ctr', 'buildkit'];

async function get(
  url: string,
  headers: Record<string, string>,
  dispatcher: Dispatcher,
): Promise<{ status: number; body: Buffer }> {
  const { statusCode, body } = await request(url, { headers, dispatcher });
  return { status: statusCode, body: Buffer.from(await body.arrayBuffer()) };
}

/** The layers, pushed as each tool would. @returns the digest of the bottom one, and its bytes */
async function pushAll(t: Test, place: RegistryPlace): Promise<{ digest: string; bytes: Buffer }> {
  const { blobs } = writeLayerFiles(shortFolder(t), { size: 6 << 20 });
  const platforms = [{ os: 'linux', architecture: 'amd64' }];
  for (const writer of WRITERS) await pushImage(place, { blobs, tag: writer, writer });
  const image = await pushImage(place, { blobs, tag: 'index', platforms, plainTag: 'plain' });
  await place.close();
  const bytes = readFileSync(blobs[0] ?? '');
  return { digest: image.layers[0]?.digest ?? '', bytes };
}

await test('docker-registry with TLS and passwords, nginx before it, squid', async (t) => {
  if (!requireTool(t, 'docker-registry', 'htpasswd', 'openssl', 'nginx', 'squid')) return;
  const pki = await makePki(shortFolder(t));
  const auth = { kind: 'htpasswd', ...LOGIN } as const;
  const registry = await startDockerRegistry(t, { tls: pki.server, auth });
  const place = new RegistryPlace(registry.url, REPOSITORY, { ca: pki.caPem, ...LOGIN });
  const { digest, bytes } = await pushAll(t, place);
  const path = `/v2/${REPOSITORY}/blobs/${digest}`;
  const last = bytes.length - 1;
  const tail = { range: `bytes=${last - 999}-${last}` };
  const expected = bytes.subarray(last - 999);

  const direct = new Agent({ connect: { ca: pki.caPem } });
  t.teardown(() => direct.destroy());
  t.equal((await get(`${registry.url}${path}`, tail, direct)).status, 401);
  const ranged = await get(`${registry.url}${path}`, { ...tail, authorization: BASIC }, direct);
  t.equal(ranged.status, 206);
  t.ok(ranged.body.equals(expected));
  const accept = { accept: OCI.index, authorization: BASIC };
  const index = await get(`${registry.url}/v2/${REPOSITORY}/manifests/index`, accept, direct);
  t.equal(index.status, 200, 'the index, whose manifests are there');

  for (const slices of [true, false]) {
    const upstream = { upstream: registry, ca: pki.ca, authorization: BASIC };
    const mirror = await startNginxMirror(t, { ...upstream, slices });
    const { status, body } = await get(`${mirror.url}${path}`, tail, direct);
    t.equal(status, 206, `nginx ${slices ? 'with' : 'without'} slices`);
    t.ok(body.equals(expected));
    await mirror.stop();
  }

  const squid = await startSquid(t);
  const proxied = new ProxyAgent({ uri: squid.url, requestTls: { ca: pki.caPem } });
  t.teardown(() => proxied.destroy());
  const through = await get(`${registry.url}${path}`, { ...tail, authorization: BASIC }, proxied);
  t.equal(through.status, 206, 'through squid');
  t.ok(through.body.equals(expected));
  await proxied.destroy();
  await squid.stop();
  t.match(readFileSync(squid.log, 'utf8'), `CONNECT ${registry.host}`);
});

await test('docker-registry with tokens', async (t) => {
  if (!requireTool(t, 'docker-registry', 'openssl')) return;
  const tokens = await startTokenServer(t, { ...LOGIN, anonymousPull: true });
  const auth = { kind: 'token', realm: tokens.realm, certificate: tokens.certificate } as const;
  const registry = await startDockerRegistry(t, { auth });
  const { digest, bytes } = await pushAll(t, new RegistryPlace(registry.url, REPOSITORY, LOGIN));
  const plain = new Agent();
  t.teardown(() => plain.destroy());
  const url = `${registry.url}/v2/${REPOSITORY}/blobs/${digest}`;
  t.equal((await get(url, {}, plain)).status, 401);
  const query = new URLSearchParams({ service: 'test', scope: `repository:${REPOSITORY}:pull` });
  const answer = await get(`${tokens.realm}?${query.toString()}`, {}, plain);
  const { token } = JSON.parse(answer.body.toString()) as { token: string };
  const { status, body } = await get(url, { authorization: `Bearer ${token}` }, plain);
  t.equal(status, 200, 'without a password');
  t.equal(sha256(body), sha256(bytes));
  t.ok(tokens.issued() >= 2);
});

await test('skopeo copies from the fault front', async (t) => {
  if (!requireTool(t, 'skopeo', 'openssl')) return;
  const pki = await makePki(shortFolder(t));
  const folder = shortFolder(t);
  const { certificate, key } = pki.server;
  const tls = { cert: readFileSync(certificate, 'utf8'), key: readFileSync(key, 'utf8') };
  for (const redirect of [undefined, 'store', 'relative'] as const) {
    const front = await FaultFront.start(t, {
      repositories: { [REPOSITORY]: layout },
      tls,
      auth: { scheme: 'bearer', users: { [LOGIN.user]: LOGIN.password } },
      ...(redirect && { redirect }),
    });
    const name = redirect ?? 'direct';
    const target = join(folder, name);
    const image = `docker://${front.name(REPOSITORY, 'app')}`;
    const login = ['--src-tls-verify=false', '--src-creds', `${LOGIN.user}:${LOGIN.password}`];
    const copying = ['--insecure-policy', 'copy', '--preserve-digests', ...login];
    const { code, stderr } = await runTool('skopeo', [...copying, image, `oci:${target}:app`]);
    t.equal(code, 0, `${name}: ${stderr}`);
    const copy = new ImageLayout(target);
    t.same(copy.manifest('app')?.bytes, layout.manifest('app')?.bytes, 'the manifest');
    t.ok(readFileSync(copy.blob(DIGEST)?.path ?? '').equals(BLOB), 'the bottom layer');
  }
});
