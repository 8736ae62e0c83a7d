// Mirrors, the P2P agent and redirects: who is asked, in which order, with what, and when the origin is.
import { createServer, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { request as send } from 'undici';
import { monotonicMs } from '../../../../daemon/lib/clock.js';
import { OCI } from '../../../support/registry/media-types.js';
import type { FaultFront } from '../../../support/registry/fault-front.js';
import {
  BLOB,
  DIGEST,
  image,
  REPOSITORY,
  startFront,
} from '../../support/registry/front-client.js';
import { clientOf } from './client-front.js';

const LAST = 99_999;
const RIGHT = BLOB.subarray(0, LAST + 1);
const ACCEPT = [OCI.manifest, OCI.index];

const kinds = (front: FaultFront): string[] => front.log.requests.map(({ kind }) => kind);

await test('a mirror is asked first, and the origin if it fails', async (t) => {
  const { front } = await startFront(t);
  const { front: mirror } = await startFront(t);
  const mirrors = [{ host: front.host, url: mirror.url }];
  const { range, client } = clientOf(t, front, { mirrors });
  t.ok((await range(0, LAST)).equals(RIGHT));
  await client.manifest(front.host, REPOSITORY, 'app', ACCEPT);
  t.same(kinds(mirror), ['blob', 'manifest']);
  t.same(kinds(front), []);
  t.ok((await range(0, LAST, { fromOrigin: true })).equals(RIGHT), 'past the mirror');
  t.same(kinds(front), ['blob']);
  for (const action of [
    { do: 'status', status: 404 },
    { do: 'status', status: 500 },
    { do: 'reset' },
    { do: 'whole' },
  ] as const) {
    const rule = mirror.rule({ match: {}, action });
    t.ok((await range(0, LAST)).equals(RIGHT), JSON.stringify(action));
    rule.release();
    mirror.rules.clear();
  }
  await mirror.die();
  t.ok((await range(0, LAST)).equals(RIGHT), 'dead');
  await client.manifest(front.host, REPOSITORY, 'app', ACCEPT);
});

await test('a range says which host was asked, if it was only one', async (t) => {
  const { front } = await startFront(t);
  const { front: mirror } = await startFront(t);
  const { client } = clientOf(t, front, { mirrors: [{ host: front.host, url: mirror.url }] });
  const ref = {
    kind: 'registry',
    host: front.host,
    repository: REPOSITORY,
    digest: DIGEST,
    size: BLOB.length,
  } as const;
  const deadlineMs = monotonicMs() + 60_000;
  const request = { ref, first: 0, last: 99, class: 'demand', deadlineMs } as const;
  const from = (fromOrigin: boolean) =>
    client.fetchRange({ ...request, fromOrigin }, () => undefined, new AbortController().signal);
  t.equal(await from(false), mirror.host);
  t.equal(await from(true), front.host);
  mirror.rule({ match: { kind: 'data' }, action: { do: 'status', status: 500 }, times: 1 });
  t.equal(await from(false), null, 'the mirror, then the registry');
});

await test('a manifest that is too long is that of the mirror alone', async (t) => {
  const { front } = await startFront(t);
  const { front: mirror } = await startFront(t);
  const { client } = clientOf(t, front, { mirrors: [{ host: front.host, url: mirror.url }] });
  const text = 'HTTP/1.1 200 OK\r\nContent-Length: 4194305\r\n\r\n';
  mirror.rule({ match: { kind: 'manifest' }, action: { do: 'raw', text } });
  await client.manifest(front.host, REPOSITORY, 'app', ACCEPT);
  t.same([kinds(mirror), kinds(front)], [['manifest'], ['manifest']]);
  front.rule({ match: { kind: 'manifest' }, action: { do: 'raw', text } });
  await t.rejects(client.manifest(front.host, REPOSITORY, 'app', ACCEPT), {
    code: 'LIMIT',
    message: /:app: .* sends a manifest of more than 4194304 bytes/,
  });
});

await test('a mirror that breaks in the middle: the origin gives the rest', async (t) => {
  const { front } = await startFront(t);
  const { front: mirror } = await startFront(t);
  const { range } = clientOf(t, front, { mirrors: [{ host: front.host, url: mirror.url }] });
  mirror.rule({ match: { kind: 'data' }, action: { do: 'reset-after', after: 70_000 } });
  t.ok((await range(0, LAST)).equals(RIGHT));
  const [rest] = front.log.requests;
  const first = Number(/bytes=(\d+)-/.exec(rest?.range ?? '')?.[1]);
  t.ok(first > 0 && first <= 70_000, `what came is not asked for again: ${rest?.range}`);
});

await test('a dead mirror is not asked while its breaker is open', async (t) => {
  const { front } = await startFront(t);
  const { front: mirror } = await startFront(t);
  const limits = { probeFirstMs: 3_600_000, probeMostMs: 3_600_000 };
  const { range, client } = clientOf(
    t,
    front,
    { mirrors: [{ host: front.host, url: mirror.url }] },
    { limits },
  );
  mirror.rule({ match: {}, action: { do: 'status', status: 500 } });
  for (let i = 0; i < 10; i++) t.ok((await range(0, 99)).equals(BLOB.subarray(0, 100)));
  t.equal(mirror.log.requests.length, 5);
  t.match(
    client.hosts().find(({ host }) => host === mirror.host),
    {
      kind: 'blob',
      breaker: 'open',
      lastError: /answers 500/,
    },
  );
});

await test('hosts.toml: order, capabilities, ns, headers, paths, and the server last', async (t) => {
  const { front } = await startFront(t);
  const seen: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    seen.push(request);
    response.statusCode = 404;
    response.end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const folder = `${front.host.replace(':', '_')}_`;
  const hosts = `
    server = "${front.url}"
    [host."${address}/one"]
      capabilities = ["pull"]
      [host."${address}/one".header]
        x-test = ["a", "b"]
    [host."${address}/two/v2"]
    [host."${address}/three"]
      override_path = true
      capabilities = ["resolve"]
  `;
  const certs = t.testdir({ [folder]: { 'hosts.toml': hosts } });
  const files = { certsFolders: [certs], registriesConf: '/proc/nonexistent' };
  const { range, client } = clientOf(t, front, { plainHttp: [] }, { files });
  t.ok((await range(0, LAST)).equals(RIGHT));
  const ns = `ns=${encodeURIComponent(front.host)}`;
  const urls = (): string[] => seen.splice(0).map(({ url }) => url ?? '');
  t.equal(seen[0]?.headers['x-test'], 'a, b');
  t.equal(seen[1]?.headers['x-test'], undefined);
  const blob = `${REPOSITORY}/blobs/${DIGEST}?${ns}`;
  t.same(urls(), [`/one/v2/${blob}`, `/two/v2/${blob}`]);
  await client.manifest(front.host, REPOSITORY, 'app', ACCEPT);
  const manifest = `${REPOSITORY}/manifests/app?${ns}`;
  t.same(urls(), [`/two/v2/${manifest}`, `/three/${manifest}`]);
});

await test('registries.conf: mirrors by digest, another location, what is blocked', async (t) => {
  const { front } = await startFront(t);
  const { front: mirror } = await startFront(t);
  const conf = `
    [[registry]]
    prefix = "registry.example/team"
    location = "${front.host}/test"
    insecure = true
    [[registry.mirror]]
    location = "${mirror.host}/test"
    insecure = true
    pull-from-mirror = "digest-only"
    [[registry]]
    location = "registry.example/secret"
    blocked = true
  `;
  const registriesConf = join(t.testdir({ 'registries.conf': conf }), 'registries.conf');
  const files = { certsFolders: [], registriesConf };
  const { client } = clientOf(t, front, { plainHttp: [] }, { files });
  const get = (repository: string, reference: string): Promise<unknown> =>
    client.manifest('registry.example', repository, reference, ACCEPT);
  await get('team/app', 'app');
  t.same([kinds(front), kinds(mirror)], [['manifest'], []], 'a tag');
  await get('team/app', image.top.digest);
  t.same([kinds(front), kinds(mirror)], [['manifest'], ['manifest']], 'a digest');
  await t.rejects(get('secret/app', 'app'), {
    code: 'REMOTE',
    message: /blocked by registries.conf/,
  });
});

/** An agent as overlaybd's: it takes a URL after its prefix, and passes on what the server says. */
async function startAgent(t: Test): Promise<{ host: string; paths: string[]; stop: () => void }> {
  const paths: string[] = [];
  const server = createServer((request, response) => {
    const inner = /^\/some\/prefix\/(https?:\/\/.+)$/.exec(request.url ?? '')?.[1];
    paths.push(request.url ?? '');
    const { host: _, connection: __, ...headers } = request.headers;
    const pass = async (): Promise<void> => {
      const answer = await send(inner ?? 'http://nothing.invalid', { headers });
      response.writeHead(answer.statusCode, answer.headers as Record<string, string>);
      answer.body.pipe(response);
    };
    pass().catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const stop = (): void => {
    server.close();
    server.closeAllConnections();
  };
  t.teardown(stop);
  return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, paths, stop };
}

for (const redirect of [undefined, 'store', 'relative'] as const) {
  await test(`a P2P agent, redirect: ${redirect}`, async (t) => {
    const auth = { scheme: 'bearer', anonymous: true } as const;
    const { front } = await startFront(t, { auth, ...(redirect && { redirect }) });
    const agent = await startAgent(t);
    const { range, client } = clientOf(t, front, { p2p: `${agent.host}/some/prefix` });
    t.ok((await range(0, LAST)).equals(RIGHT));
    t.equal(agent.paths[0], `/some/prefix/${front.url}/v2/${REPOSITORY}/blobs/${DIGEST}`);
    const own = redirect === 'store' ? front.storeHost : front.host;
    t.match(agent.paths.at(-1), `/some/prefix/http://${own}/`);
    const before = agent.paths.length;
    t.ok((await range(1, LAST)).equals(RIGHT.subarray(1)));
    t.equal(agent.paths.length, before + 1, 'the location is remembered');
    await client.manifest(front.host, REPOSITORY, 'app', ACCEPT);
    await range(0, 9, { fromOrigin: true });
    t.equal(
      agent.paths.length,
      before + 1,
      'manifests and what is asked of the origin do not go there',
    );
    agent.stop();
    t.ok((await range(0, LAST)).equals(RIGHT), 'and without the agent');
    t.same(front.log.violations(), []);
  });
}

for (const redirect of ['store', 'relative'] as const) {
  await test(`redirects (${redirect}) are remembered, and renewed once for all requests`, async (t) => {
    const auth = { scheme: 'basic', users: { me: 'pw' } } as const;
    const { front } = await startFront(t, { redirect, auth });
    const auths = { [front.host]: { username: 'me', password: 'pw' } };
    const dockerConfig = join(t.testdir({ 'c.json': JSON.stringify({ auths }) }), 'c.json');
    const { range } = clientOf(t, front, { dockerConfig });
    for (let i = 0; i < 3; i++) t.ok((await range(i, LAST)).equals(RIGHT.subarray(i)));
    const asked = (): number => kinds(front).filter((kind) => kind === 'blob').length;
    const before = asked();
    t.equal(before, 2, 'a challenge and a redirect');
    front.urls.expireAll();
    const all = await Promise.all(Array.from({ length: 8 }, () => range(0, LAST)));
    t.ok(all.every((each) => each.equals(RIGHT)));
    t.equal(asked(), before + 1, 'one renewal');
    t.same(front.log.violations(), []);
  });
}

await test('a store that refuses even new URLs is an error, after one renewal', async (t) => {
  const { front } = await startFront(t, { redirect: 'store', signedMs: -1000 });
  const { range } = clientOf(t, front);
  await t.rejects(range(0, LAST), { code: 'AUTH', facts: { host: front.storeHost, status: 403 } });
  t.ok(front.log.requests.length <= 4);
});

await test('a store that is dead: its location is asked for again', async (t) => {
  const { front } = await startFront(t, { redirect: 'store' });
  const { range } = clientOf(t, front);
  await range(0, 9);
  await front.die(['store']);
  const waiting = range(0, LAST);
  await front.log.waitFor(({ number, kind }) => kind === 'blob' && number > 2);
  await front.revive(['store']);
  t.ok((await waiting).equals(RIGHT));
});

for (const [name, to, message] of [
  ['in a circle', '/v2/test/app/blobs/x', /redirects more than 3 times/],
  ['to nonsense', 'http://[', /redirects to a URL that is not valid/],
  ['to a file', 'file:///etc/passwd', /not of HTTP/],
  ['very far', `http://x/${'a'.repeat(9000)}`, /of more than 8192 characters/],
] as const) {
  await test(`a redirect ${name}`, async (t) => {
    const { front } = await startFront(t);
    const rule = front.rule({ match: { kind: 'blob' }, action: { do: 'redirect', to } });
    await t.rejects(clientOf(t, front).range(0, LAST), { code: 'REMOTE', message });
    // Asked twice; three redirects of each answer are followed.
    t.equal(rule.hits, { 'in a circle': 8, 'to a file': 1 }[name as string] ?? 2);
  });
}
