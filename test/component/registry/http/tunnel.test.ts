// Tunnels through a proxy: what it is asked, how long the phases take, and what it may answer.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect as connectTo, type AddressInfo } from 'node:net';
import { test, type Test } from 'tap';
import type { Dispatcher } from 'undici';
import { tunnelConnector } from '../../../../daemon/registry/http/tunnel.js';
import { makePki } from '../../../support/tls-files.js';
import { requireTool } from '../../../support/tools.js';
import { BLOB, startFront } from '../../../unit/support/registry/front-client.js';
import { clientOf } from '../../../unit/registry/http/client-front.js';

type Tell = (error: Error | null, data: Dispatcher.ConnectData) => void;

/** @param status that it answers to CONNECT; with 200 it makes the tunnel */
async function startProxy(t: Test, status = 200) {
  const asked: unknown[] = [];
  const server = createServer();
  server.on('connect', ({ url = '', headers }, socket) => {
    asked.push({ url, login: headers['proxy-authorization'], host: headers.host });
    socket.on('error', () => undefined);
    if (status !== 200) {
      socket.end(`HTTP/1.1 ${status} No\r\n\r\n`);
      return;
    }
    const [host = '', port = ''] = url.split(':');
    const onward = connectTo(Number(port), host, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      onward.pipe(socket).pipe(onward);
    });
    onward.on('error', () => socket.destroy());
    socket.on('close', () => onward.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

await test('the phases of a tunnel are those of the origin, and its connection that of the proxy', async (t) => {
  if (!requireTool(t, 'openssl')) return;
  const pki = await makePki(t.testdir({}));
  const { front } = await startFront(t, { tls: pki.server.pem });
  const proxy = await startProxy(t);
  const env = { HOME: '/proc/nonexistent', HTTPS_PROXY: `http://me:se%20cret@${proxy.host}` };
  const { range, counters } = clientOf(t, front, { plainHttp: [], ca: pki.ca }, { env });
  t.ok((await range(0, 99)).equals(BLOB.subarray(0, 100)));
  t.ok((await range(0, 99)).equals(BLOB.subarray(0, 100)));
  const counts = (host: string) =>
    Object.fromEntries(
      Object.entries(counters.of(host).seconds).map(([phase, { count }]) => [phase, count]),
    );
  t.same(counts(front.host), { dns: 0, connect: 1, tls: 1, first_byte: 2, body: 2 });
  t.same(counts(proxy.host), { dns: 0, connect: 1, tls: 0, first_byte: 0, body: 0 });
  const login = `Basic ${Buffer.from('me:se cret').toString('base64')}`;
  t.same(proxy.asked, [{ url: front.host, login, host: front.host }], 'one tunnel for both');
});

await test('a certificate that is not trusted, and a proxy that refuses: no phase has ended', async (t) => {
  if (!requireTool(t, 'openssl')) return;
  const pki = await makePki(t.testdir({}));
  const { front } = await startFront(t, { tls: pki.server.pem });
  for (const [status, ca, message, connects] of [
    [200, null, /not trusted/, 1],
    [407, pki.ca, /the proxy answers 407/, 0],
  ] as const) {
    const proxy = await startProxy(t, status);
    const env = { HOME: '/proc/nonexistent', HTTPS_PROXY: proxy.host };
    const settings = { plainHttp: [], ca };
    const seams = { env, limits: { attempts: 1 } };
    const { range, counters } = clientOf(t, front, settings, seams);
    await t.rejects(range(0, 99), { code: 'REMOTE', message });
    const { connect, tls } = counters.of(front.host).seconds;
    t.same([connect.count, tls.count], [connects, 0], `${status}`);
  }
});

await test('a proxy with a certificate for another name: undici would ask it for ever', async (t) => {
  const wrong = Object.assign(new Error('not its name'), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
  const other = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
  for (const [error, code] of [
    [wrong, 'UND_ERR_PRX_TLS'],
    [other, 'ECONNREFUSED'],
  ] as const) {
    const proxy = { connect: (_: object, tell: Tell) => tell(error, null as never) };
    const seams = { now: () => 0, took: () => t.fail('a phase ended') };
    const connector = tunnelConnector(seams, proxy, new URL('https://proxy.example'), {});
    const place = { hostname: 'a.example', port: '', protocol: 'https:' };
    const failure = await new Promise((resolve) => {
      connector(place, (...[failed]) => resolve(failed));
    });
    t.match(failure, { code, message: error.message });
  }
});
