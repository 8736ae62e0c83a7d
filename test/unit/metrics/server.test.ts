// The HTTP server of metrics, asked over TCP and a Unix socket.
import { request } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import type { DaemonStatus } from '../../../daemon/control/api.js';
import { MetricsServer, type MetricsHandlers } from '../../../daemon/metrics/server.js';
import { shortFolder } from '../../support/daemon-process.js';

function exportOf(name: string, state: string, problem: object | null = null): object {
  return { name, state, problem };
}

async function served(t: Test, handlers: Partial<MetricsHandlers>): Promise<string> {
  const server = new MetricsServer({
    metrics: () => Promise.resolve('a 1\n'),
    status: () => Promise.resolve({ exports: [], devices: [] } as unknown as DaemonStatus),
    ...handlers,
  });
  const path = join(shortFolder(t), 'm.sock');
  await server.listen({ path });
  t.teardown(() => server.close());
  return path;
}

interface Got {
  readonly status: number | undefined;
  readonly type: string | undefined;
  readonly body: string;
}

function get(to: object, path: string, method = 'GET'): Promise<Got> {
  return new Promise((resolve, reject) => {
    const asked = request({ ...to, path, method, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => (body += part));
      response.on('end', () => {
        resolve({ status: response.statusCode, type: response.headers['content-type'], body });
      });
    });
    asked.on('error', reject).end();
  });
}

await test('metrics and probes are answered', async (t) => {
  const socketPath = await served(t, {});
  t.same(await get({ socketPath }, '/metrics?x=1'), {
    status: 200,
    type: 'text/plain; version=0.0.4; charset=utf-8',
    body: 'a 1\n',
  });
  t.match(await get({ socketPath }, '/healthz'), { status: 200, body: 'ok\n' });
  t.match(await get({ socketPath }, '/readyz'), {
    status: 200,
    body: '{"ready":true,"waiting":[]}\n',
  });
  t.match(await get({ socketPath }, '/'), {
    status: 404,
    body: /\/metrics, \/healthz and \/readyz/,
  });
  t.match(await get({ socketPath }, '/metrics', 'HEAD'), { status: 200, body: '' });
  t.match(await get({ socketPath }, '/metrics', 'POST'), { status: 405 });
});

await test('/readyz names the exports and devices that are not ready', async (t) => {
  const status = {
    exports: [
      exportOf('good', 'served'),
      exportOf('late', 'opening'),
      exportOf('bad', 'failed', { message: 'registry.example: 503' }),
    ],
    devices: [
      { device: '/dev/nbd0', state: 'connected' },
      { device: '/dev/nbd1', state: 'waiting' },
    ],
  } as unknown as DaemonStatus;
  const socketPath = await served(t, { status: () => Promise.resolve(status) });
  const got = await get({ socketPath }, '/readyz');
  t.match(got, { status: 503, type: /^application\/json/ });
  t.same(JSON.parse(got.body), {
    ready: false,
    waiting: [
      { export: 'late', state: 'opening', reason: null },
      { export: 'bad', state: 'failed', reason: 'registry.example: 503' },
      { device: '/dev/nbd1', state: 'waiting', reason: null },
    ],
  });
});

await test('an error of the daemon is a status, without its message', async (t) => {
  const socketPath = await served(t, { metrics: () => Promise.reject(new Error('secret')) });
  t.match(await get({ socketPath }, '/metrics'), {
    status: 500,
    body: 'the status is not available\n',
  });
  t.match(await get({ socketPath }, '/healthz'), { status: 200 });
});

await test('an address in use is an error; a socket that was left behind is replaced', async (t) => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  t.teardown(() => other.close());
  const { port } = other.address() as AddressInfo;
  const handlers = {
    metrics: () => Promise.resolve(''),
    status: () => Promise.reject(new Error()),
  };
  const refused = new MetricsServer(handlers);
  await t.rejects(refused.listen({ host: '127.0.0.1', port }), { code: 'EADDRINUSE' });

  const socketPath = await served(t, {});
  const next = new MetricsServer(handlers);
  await next.listen({ path: socketPath });
  t.teardown(() => next.close());
  t.match(await get({ socketPath }, '/metrics'), { status: 200, body: '' });

  const file = join(shortFolder(t), 'file');
  writeFileSync(file, 'precious');
  await t.rejects(new MetricsServer(handlers).listen({ path: file }), { code: 'EADDRINUSE' });
  t.ok(existsSync(file), 'only sockets are removed');
});
