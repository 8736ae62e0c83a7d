// The client and the server of the control API, over a real socket, with a fake daemon. Raw HTTP against the real
// daemon: test/e2e/control-api.test.ts.
import { createServer } from 'node:http';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { test, type Test } from 'tap';
import type { DaemonStatus, AttachAnswer } from '../../../daemon/control/api.js';
import { ControlClient } from '../../../daemon/control/client.js';
import type { ControlHandlers } from '../../../daemon/control/routes.js';
import { ControlServer } from '../../../daemon/control/server.js';
import { OverlaybdError, factsOf } from '../../../daemon/errors.js';
import { descriptors } from '../../../daemon/native/descriptors.js';
import { sockets } from '../../../daemon/native/socket.js';
import { until } from '../../support/until.js';
import { thrownBy } from '../../support/error-rows.js';
import { shortFolder } from '../../support/daemon-process.js';
import type { AttachRequest } from '../../../daemon/control/requests.js';

const STATUS = { pid: 1, devices: [] } as unknown as DaemonStatus;

function never(): never {
  throw new OverlaybdError('UNSUPPORTED', 'not in this test');
}

function start(t: Test, change: Partial<ControlHandlers>): { client: ControlClient; path: string } {
  const path = join(shortFolder(t), 'control.sock');
  const handlers = new Proxy({ status: async () => STATUS, ...change } as ControlHandlers, {
    get: (given, name: keyof ControlHandlers) => given[name] ?? (async () => never()),
  });
  const server = new ControlServer(sockets.listenUnix(path, 10, 0o600), handlers);
  t.teardown(() => server.close());
  return { client: new ControlClient(path), path };
}

await test('every request reaches the server and returns its answer', async (t) => {
  const asked: unknown[] = [];
  const { client } = start(t, {
    attach: async (request) => {
      asked.push(request);
      return { id: 'x' } as AttachAnswer;
    },
    detach: async (...args) => void asked.push(args),
    reload: async () => void asked.push('reload'),
    upgrade: async () => 4711,
  });
  t.same(await client.status(), STATUS);
  const request: AttachRequest = { image: ['/a'], index: 3, blockSize: 4096, connections: 2 };
  t.same(await client.attach(request), { id: 'x' });
  await client.detach('/dev/nbd3', { force: true });
  await client.detach('ä?force=1', { onClose: true });
  await client.reload();
  t.equal(await client.upgrade(), 4711);
  t.same(asked, [
    request,
    ['/dev/nbd3', { force: true, onClose: false }],
    ['ä?force=1', { force: false, onClose: true }],
    'reload',
  ]);
});

await test('errors reach the client with code and message', async (t) => {
  const codes = ['BAD_ARGUMENT', 'PERMISSION', 'NOT_FOUND', 'BUSY', 'NO_KERNEL', 'BAD_CHECKSUM'];
  let code = '';
  const { client } = start(t, {
    reload: async () => {
      throw new OverlaybdError(code as 'IO', `it is ${code} "quoted"\nwith lines`);
    },
    upgrade: async () => {
      throw new TypeError('a bug');
    },
  });
  for (code of codes) {
    await t.rejects(client.reload(), { code, message: `it is ${code} "quoted"\nwith lines` });
  }
  await t.rejects(client.upgrade(), { code: 'BUG', message: /^BUG: TypeError: a bug\n {4}at / });
});

await test('errors reach the client with facts and causes, and without secrets', async (t) => {
  const cause = new OverlaybdError('REMOTE', 'inner', { facts: { host: 'h:5000', status: 503 } });
  const facts = { image: 'h:5000/app:1', digest: 'sha256:0', got: 7 };
  const { client } = start(t, {
    reload: async () => {
      throw new OverlaybdError('IO', 'outer', { facts, cause });
    },
    upgrade: async () => {
      throw new OverlaybdError('IO', 'url', { facts: { url: 'https://u:pw@h/b?sig=pw' } });
    },
  });
  const error = (await thrownBy(() => client.reload())) as OverlaybdError;
  t.match(error, { code: 'IO', message: 'outer' });
  t.same(factsOf(error), { ...facts, host: 'h:5000', status: 503 });
  t.match(error.cause, { code: 'REMOTE', message: 'inner', facts: { status: 503 } });
  const url = 'https://...@h/b?...';
  await t.rejects(client.upgrade(), { code: 'IO', message: 'url', facts: { url } });
});

await test('a server that closes answers running requests', async (t) => {
  const path = join(shortFolder(t), 'control.sock');
  let isAsked = false;
  const server = new ControlServer(sockets.listenUnix(path, 10), {
    status: async () => {
      isAsked = true;
      await pause(100);
      return STATUS;
    },
  } as ControlHandlers);
  const asked = new ControlClient(path).status();
  await until(() => isAsked);
  server.close();
  t.same(await asked, STATUS);
  await t.rejects(new ControlClient(path).status(), { code: 'NO_DAEMON' });
});

await test('no server, and a server of another kind', async (t) => {
  const path = join(shortFolder(t), 'control.sock');
  const absent = { code: 'NO_DAEMON', message: `${path}: no daemon is running there` };
  await t.rejects(new ControlClient(path).status(), absent);
  descriptors.close(sockets.listenUnix(path, 1));
  await t.rejects(new ControlClient(path).status(), absent, 'a socket file without a server');
  rmSync(path);
  const other = createServer((_request, response) => response.end('<html>'));
  await new Promise<void>((resolve) => other.listen(path, resolve));
  t.teardown(() => other.close());
  await t.rejects(new ControlClient(path).status(), { code: 'SOCKET', message: /no answer/ });
});
