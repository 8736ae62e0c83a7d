// Upstream's cred.json: which login is for a repository; services that fail.
import { createServer, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { test } from 'tap';
import { TlsContexts } from '../../../../daemon/registry/http/tls.js';
import {
  askService,
  parseUpstreamLogins,
  upstreamLogin,
} from '../../../../daemon/registry/http/upstream-credentials.js';
import { startServer } from './small-server.js';

const { signal } = new AbortController();

const login = (username: string): object => ({ username, password: 'p' });

await test('the first that fits counts, in whole segments', (t) => {
  const logins = parseUpstreamLogins(
    JSON.stringify({
      auths: {
        'h/tea': login('tea'),
        'h/team/app': login('app'),
        h: login('host'),
        'h/team': login('team'),
      },
    }),
  );
  const user = (host: string, repository: string): unknown =>
    (upstreamLogin(logins, host, repository) as { username?: string } | null)?.username;
  t.equal(user('h', 'team/app'), 'app');
  t.equal(user('h', 'team/apps'), 'host', 'not the longest, the first');
  t.equal(user('h:5000', 'team/app'), undefined);
  t.throws(() => parseUpstreamLogins('{}'), TypeError);
  t.throws(() => parseUpstreamLogins('{'), SyntaxError);
  t.end();
});

await test('a service that fails: an error without what it said', async (t) => {
  const answers: ((response: ServerResponse) => unknown)[] = [
    (response) => response.end('secret'),
    (response) => response.end(JSON.stringify({ success: false, data: 'secret' })),
    (response) => response.end(JSON.stringify({ success: true, data: {} })),
    (response) => response.writeHead(500).end('secret'),
    (response) => response.destroy(),
    () => undefined,
  ];
  const server = createServer((_, response) => void answers.shift()?.(response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const none = { certificate: null, key: null, ca: null };
  const service = { mode: 'http', address, timeout: 0.3, ...none } as const;
  const tls = new TlsContexts({ env: {}, now: () => 0, filesMs: 0 });
  while (answers.length > 0) {
    const error = await askService(service, 'h', 'a', tls, signal).catch(
      (thrown: unknown) => thrown as Error,
    );
    t.match(error, { code: 'AUTH', message: /^the credential service 127.0.0.1:\d+ .+ for h\/a$/ });
    t.notMatch((error as Error).message, /secret/);
  }
});

await test('a service may answer with 256 KiB, and no more', async (t) => {
  let length = 262_144;
  const answer = { success: true, data: { auths: { h: { username: 'u', password: 'p' } } } };
  const address = await startServer(
    t,
    (_, response) => void response.end(JSON.stringify(answer).padEnd(length)),
  );
  const none = { certificate: null, key: null, ca: null };
  const service = { mode: 'http', address: `http://${address}`, timeout: 60, ...none } as const;
  const tls = new TlsContexts({ env: {}, now: () => 0, filesMs: 0 });
  t.ok(upstreamLogin(await askService(service, 'h', 'a', tls, signal), 'h', 'a'));
  length++;
  await t.rejects(askService(service, 'h', 'a', tls, signal), {
    code: 'AUTH',
    message: /fails for h/,
  });
});
