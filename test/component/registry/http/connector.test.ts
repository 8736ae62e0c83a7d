// Connections: the time of each phase, and one limit for all of them.
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { test } from 'tap';
import { makePki } from '../../../support/tls-files.js';
import { requireTool } from '../../../support/tools.js';
import { BLOB, startFront } from '../../../unit/support/registry/front-client.js';
import { timedConnector, type ConnectSeams } from '../../../../daemon/registry/http/connector.js';
import type { Counters } from '../../../../daemon/registry/http/counters.js';
import { clientOf } from '../../../unit/registry/http/client-front.js';

function counts(counters: Counters, host: string): Record<string, number> {
  const { seconds } = counters.of(host);
  return Object.fromEntries(Object.entries(seconds).map(([phase, { count }]) => [phase, count]));
}

const resolveName = () => Promise.resolve([{ address: '127.0.0.1', family: 4 }]);

await test('a name over plain http', async (t) => {
  const { front } = await startFront(t);
  const host = front.host.replace('127.0.0.1', 'registry.test');
  const { range, counters } = clientOf(t, front, { plainHttp: [host] }, { resolveName });
  t.ok((await range(0, 99, { host })).equals(BLOB.subarray(0, 100)));
  t.ok((await range(0, 99, { host })).equals(BLOB.subarray(0, 100)));
  t.same(
    counts(counters, host),
    { dns: 1, connect: 1, tls: 0, first_byte: 2, body: 2 },
    'one connection for two requests',
  );
});

await test('an address over TLS', async (t) => {
  if (!requireTool(t, 'openssl')) return;
  const pki = await makePki(t.testdir({}));
  const { front } = await startFront(t, { tls: pki.server.pem });
  const { range, counters } = clientOf(t, front, { plainHttp: [], ca: pki.ca });
  t.ok((await range(0, 99)).equals(BLOB.subarray(0, 100)));
  t.same(counts(counters, front.host), { dns: 0, connect: 1, tls: 1, first_byte: 1, body: 1 });
  const untrusted = clientOf(t, front, { plainHttp: [] });
  await t.rejects(untrusted.range(0, 99), { code: 'REMOTE', message: /not trusted/ });
  t.same(
    counts(untrusted.counters, front.host),
    { dns: 0, connect: 1, tls: 0, first_byte: 0, body: 0 },
    'what fails is not counted',
  );
});

await test('a host that takes the connection and says nothing: the limit is for all phases', async (t) => {
  const sockets: Socket[] = [];
  const server = createServer((socket) => sockets.push(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const phases: string[] = [];
  const seams: ConnectSeams = {
    lookup: () => t.fail('an address was looked up'),
    now: () => 0,
    took: (host, phase) => phases.push(`${host} ${phase}`),
  };
  let results: unknown[] = [];
  const place = { hostname: '127.0.0.1', host: `127.0.0.1:${port}`, port: `${port}` };
  // On a busy machine, the time of the first tries may be over before there is a connection.
  for (let connectMs = 50; phases.length === 0; connectMs *= 2) {
    const told: unknown[] = (results = []);
    const connector = timedConnector(seams, {}, connectMs);
    await new Promise<void>((resolve) => {
      connector({ ...place, protocol: 'https:' }, (...[error]) => {
        told.push(error);
        resolve();
      });
    });
  }
  const late = 'UND_ERR_CONNECT_TIMEOUT';
  t.match(results, [{ code: late, message: `no connection to 127.0.0.1:${port} in time` }]);
  t.same(phases, [`127.0.0.1:${port} connect`]);
  const socket = sockets.at(-1);
  if (socket && !socket.closed)
    await once(
      socket.resume().on('error', () => undefined),
      'close',
    );
  t.equal(results.length, 1, 'told once');
});

await test('a connection that is refused', async (t) => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  const seams = { lookup: () => undefined, now: () => 0, took: () => t.fail('a phase ended') };
  const connector = timedConnector(seams, {}, 60_000);
  const place = { hostname: '127.0.0.1', port: `${port}`, protocol: 'http:' };
  const error = await new Promise((resolve) => connector(place, (...[thrown]) => resolve(thrown)));
  t.match(error, { code: 'ECONNREFUSED' });
});

const noAddress: ConnectSeams['lookup'] = (_name, _options, callback) => {
  setImmediate(callback, Object.assign(new Error('none'), { code: 'ENOTFOUND' }), '');
};

await test('a name without an address', async (t) => {
  const seams = { lookup: noAddress, now: () => 0, took: () => t.fail('a phase ended') };
  const connector = timedConnector(seams, {}, 60_000);
  const place = { hostname: 'registry.test', port: '', protocol: 'http:' };
  const error = await new Promise((resolve) => connector(place, (...[thrown]) => resolve(thrown)));
  t.match(error, { code: 'ENOTFOUND' });
});
