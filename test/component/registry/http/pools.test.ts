// Connections: TLS with a CA and a certificate of ours, proxies, bounds.
import { createServer, connect as connectTo } from 'node:net';
import { createServer as createTlsServer } from 'node:https';
import { createServer as createHttpServer, request as httpRequest } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import tap, { test, type Test } from 'tap';
import { findTool } from '../../../support/tools.js';
import { makePki } from '../../../support/tls-files.js';
import { BLOB, startFront } from '../../../unit/support/registry/front-client.js';
import { Pools } from '../../../../daemon/registry/http/pools.js';
import { clientOf, TEST_LIMITS } from '../../../unit/registry/http/client-front.js';
import { startServer } from '../../../unit/registry/http/small-server.js';

const LAST = 99_999;
const RIGHT = BLOB.subarray(0, LAST + 1);

if (findTool('openssl') === null) {
  tap.pass('skipped', { skip: 'openssl is not installed' });
  process.exit();
}
const folder = tap.testdir({});
const pki = await makePki(folder);
const tls = pki.server.pem;

await test('TLS: the CA of the command line, or of a file, or none', async (t) => {
  const { front } = await startFront(t, { tls });
  const over = (settings: object, files?: { certsFolders: string[] }) =>
    clientOf(t, front, { plainHttp: [], ...settings }, files ? { files } : {});
  t.ok((await over({ ca: pki.ca }).range(0, LAST)).equals(RIGHT));
  const refused = {
    code: 'REMOTE',
    message: /certificate that is not trusted .+--registry-ca/,
    facts: { attempts: 1 },
  };
  await t.rejects(over({}).range(0, LAST), refused);
  t.equal(front.log.requests.length, 1, 'nothing was asked');
  const certs = join(folder, 'certs.d');
  mkdirSync(join(certs, front.host), { recursive: true });
  copyFileSync(pki.ca, join(certs, front.host, 'ca.crt'));
  t.ok(
    (await over({}, { certsFolders: [certs] }).range(0, LAST)).equals(RIGHT),
    'as Docker has it',
  );
  await t.rejects(over({ ca: '/proc/nonexistent' }).range(0, LAST), {
    message: /nonexistent: no such file/,
  });
  await t.rejects(over({ ca: join(folder, 'ext') }).range(0, LAST), { code: 'REMOTE' });
});

await test('TLS: plain http and https are not taken for each other', async (t) => {
  const { front } = await startFront(t);
  await t.rejects(clientOf(t, front, { plainHttp: [] }).range(0, LAST), {
    code: 'REMOTE',
    message:
      /does not speak TLS; if it speaks plain HTTP, name it with --plain-http, and with its port if/,
  });
  const { front: secure } = await startFront(t, { tls });
  await t.rejects(clientOf(t, secure).range(0, LAST, { deadlineMs: 500 }), { code: 'REMOTE' });
});

await test('TLS: certificates that are over or for another name', async (t) => {
  const { front } = await startFront(t, { tls: pki.expiredServer.pem });
  const ca = pki.ca;
  await t.rejects(clientOf(t, front, { plainHttp: [], ca }).range(0, LAST), {
    message: /certificate that has expired \(or the clock is wrong\)/,
  });
  const { front: other } = await startFront(t, { tls: pki.alice.pem });
  t.ok(other);
});

await test('TLS: a certificate of ours', async (t) => {
  const seen: (string | undefined)[] = [];
  const server = createTlsServer(
    { ...tls, ca: pki.caPem, requestCert: true },
    (request, response) => {
      const { socket } = request as unknown as {
        socket: { getPeerCertificate(): { subject?: { CN?: string } } };
      };
      seen.push(socket.getPeerCertificate().subject?.CN);
      response.writeHead(404);
      response.end();
    },
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { front } = await startFront(t);
  const { certificate, key } = pki.alice;
  const { client } = clientOf(t, front, { ca: pki.ca, certificate, key });
  await t.rejects(client.manifest(host, 'a', 'b', []), { code: 'NOT_FOUND' });
  t.same(seen, ['alice']);
});

/** Takes CONNECT and whole URLs, and says what it was asked for. */
async function startProxy(t: Test): Promise<{ url: string; asked: string[] }> {
  const asked: string[] = [];
  const server = createHttpServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    const { headers, method } = request;
    const onward = httpRequest(request.url ?? '', { headers, method }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    onward.end();
  });
  server.on('connect', (request, socket) => {
    asked.push(`CONNECT ${request.url}`);
    const [host = '', port = ''] = (request.url ?? '').split(':');
    const onward = connectTo(Number(port), host, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      onward.pipe(socket).pipe(onward);
    });
    onward.on('error', () => socket.destroy());
    socket.on('error', () => onward.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

for (const scheme of ['http', 'https'] as const) {
  await test(`a proxy for ${scheme}`, async (t) => {
    const isSecure = scheme === 'https';
    const { front } = await startFront(t, isSecure ? { tls } : {});
    const proxy = await startProxy(t);
    const env = { HOME: '/proc/nonexistent', [`${scheme.toUpperCase()}_PROXY`]: proxy.url };
    const settings = isSecure ? { plainHttp: [], ca: pki.ca } : {};
    const { range } = clientOf(t, front, settings, { env });
    t.ok((await range(0, LAST)).equals(RIGHT));
    t.ok((await range(0, LAST)).equals(RIGHT));
    t.match(proxy.asked[0], isSecure ? `CONNECT ${front.host}` : `GET ${front.url}/v2/`);
    const direct = clientOf(t, front, settings, { env: { ...env, NO_PROXY: front.host } });
    const before = proxy.asked.length;
    t.ok((await direct.range(0, LAST)).equals(RIGHT));
    t.equal(proxy.asked.length, before, 'NO_PROXY');
  });
}

await test('a proxy that says no, is dead, hangs, or is none', async (t) => {
  const { front } = await startFront(t, { tls });
  const over = (proxy: string, ms = 120_000) => {
    const env = { HOME: '/proc/nonexistent', HTTPS_PROXY: proxy };
    const limits = { connectMs: ms, firstByteMs: ms, attempts: 1 };
    return clientOf(t, front, { plainHttp: [], ca: pki.ca }, { env, limits }).range(0, LAST);
  };
  const refusing = createHttpServer();
  refusing.on('connect', (_, socket) => socket.end('HTTP/1.1 403 Forbidden\r\n\r\n'));
  const silent = createServer(() => undefined);
  const urls = [];
  for (const server of [refusing, silent]) {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.teardown(() => server.close());
    urls.push(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  }
  await t.rejects(over(urls[0] ?? ''), { message: /the proxy answers 403/ });
  await t.rejects(over(urls[1] ?? '', 300), { code: 'REMOTE' });
  await t.rejects(over('http://127.0.0.1:1'), {
    message:
      /is asked through the proxy http:\/\/127\.0\.0\.1:1, which refuses connections.*check HTTPS_PROXY/,
  });
  const pools = new Pools(TEST_LIMITS, {
    lookup: () => undefined,
    now: () => 0,
    took: () => undefined,
  });
  try {
    pools.of('https://registry.example', { tls: null, proxy: 'http://me:secret@[nonsense' });
    t.fail('taken');
  } catch (error) {
    const text = 'registry.example cannot be asked: the proxy ...@[nonsense is not a valid URL';
    t.match(error, { kind: 'refused', message: text });
  }
});

await test('never more connections than the limit', async (t) => {
  const { front } = await startFront(t, { latencyMs: 5 });
  const { range } = clientOf(t, front, {}, { limits: { connections: 3 } });
  await Promise.all(Array.from({ length: 30 }, (_, i) => range(i, LAST)));
  t.ok(front.log.connections() <= 3);
  const small = clientOf(
    t,
    front,
    {},
    { limits: { connections: 1, queued: 1, attempts: 1, breakerFailures: 100 } },
  );
  const all = await Promise.allSettled(Array.from({ length: 5 }, () => small.range(0, LAST)));
  t.same(
    all
      .map(({ status }) => status)
      .toSorted()
      .slice(-2),
    ['rejected', 'rejected'].slice(0, 2),
  );
});

await test('the header of an answer is bounded', async (t) => {
  const { front } = await startFront(t);
  let length = 60_000;
  const host = await startServer(t, (_, response) => {
    response.writeHead(200, { 'x-long': 'a'.repeat(length) }).end('{}');
  });
  const settings = { plainHttp: [host], fetchDeadline: 60 };
  const { client } = clientOf(t, front, settings, { limits: { attempts: 1 } });
  t.ok(await client.manifest(host, 'a', 'b', []));
  length = 70_000;
  await t.rejects(client.manifest(host, 'a', 'b', []), {
    code: 'LIMIT',
    message: /sends an answer with more than 65536 bytes of headers/,
  });
});
