// Clients over real sockets, with fake reactors that only keep the connections.
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test, type Test } from 'tap';
import { listenerSpec, type ListenerConfig } from '../../../daemon/config/listener.js';
import { Clients } from '../../../daemon/listen/clients.js';
import { peerAt } from '../../../daemon/listen/peer.js';
import { descriptors } from '../../../daemon/native/descriptors.js';
import { sockets } from '../../../daemon/native/socket.js';
import { ClientLog } from '../../../daemon/reactor/client-log.js';
import type { ReactorPool } from '../../../daemon/reactor/pool.js';
import type { ConnectionInfo } from '../../../daemon/reactor/reactor-thread.js';
import { until } from '../../support/until.js';

function world(t: Test) {
  const served: { fd: number; info: ConnectionInfo }[] = [];
  const lines: string[] = [];
  const reactors = {
    get connections() {
      return served.length;
    },
    serve: (fd: number, info: ConnectionInfo) => served.push({ fd, info }),
  };
  const log = new ClientLog({ log: (level, text) => void lines.push(`${level}: ${text}`) });
  const clients = new Clients(reactors as unknown as ReactorPool, log);
  const end = (at = 0): void => {
    for (const { fd, info } of served.splice(at, 1)) {
      descriptors.close(fd);
      info.closed(null);
    }
  };
  t.teardown(() => {
    clients.close();
    while (served.length > 0) end();
  });
  const listen = (...configs: ListenerConfig[]): Promise<void> =>
    clients.listen({ listen: configs.map(listenerSpec), activated: [] });
  return { clients, served, lines, end, listen };
}

function client(t: Test, port: number): Socket {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  t.teardown(() => socket.destroy());
  return socket;
}

const portOf = ({ offeredSockets }: Clients, at = 0): number =>
  sockets.localPort(offeredSockets[at]?.socket.fd ?? -1);

await test('a client is accepted, counted, and sees the exports of its listener', async (t) => {
  const { clients, served, end, listen } = world(t);
  await listen({ address: 'tcp://127.0.0.1:0', exports: ['a'] });
  t.match(clients.titles, [/^nbd:\/\/127\.0\.0\.1:\d+$/]);
  client(t, portOf(clients));
  await until(() => served.length === 1);
  t.match(served[0]?.info, { exports: ['a'], peer: { kind: 'tcp', group: '127.0.0.1' } });
  t.equal(clients.count, 1);
  end();
  t.equal(clients.count, 0);
});

await test('the limit for a peer counts its open connections', async (t) => {
  const { clients, served, lines, end, listen } = world(t);
  await listen({ address: 'tcp://127.0.0.1:0', maxConnectionsPerPeer: 2 });
  const port = portOf(clients);
  client(t, port);
  client(t, port);
  await until(() => served.length === 2);
  const third = client(t, port);
  await new Promise((resolve) => third.once('close', resolve));
  t.match(lines, [/^warn: 127\.0\.0\.1:\d+: refused: 127\.0\.0\.1 has 2 connections open$/]);
  end();
  client(t, port);
  await until(() => served.length === 2);
  t.equal(clients.count, 2);
});

await test('two addresses of one place: the error names the one in use', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'obd-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  // The first one lets the system choose a port, so that no other process has it.
  for (const [first, second] of [
    ['tcp://127.0.0.1:0', 'tcp://127.0.0.1:PORT'],
    ['tcp://localhost:0', 'tcp://127.0.0.1:PORT'],
    ['tcp://127.0.0.1:0', 'tcp://0.0.0.0:PORT'],
    ['tcp://0.0.0.0:0', 'tcp://127.0.0.1:PORT'],
    [`unix://${folder}/s`, `unix://${folder}/s`],
  ] as const) {
    const { clients, listen } = world(t);
    await listen(first);
    const at = (address: string): string =>
      address.includes('PORT') ? address.replace('PORT', `${portOf(clients)}`) : address;
    await t.rejects(
      listen(at(second)),
      {
        code: 'SOCKET',
        message: `${at(second)}: cannot listen: this daemon listens there already: ${first} is the same address`,
      },
      `${first} and ${second}`,
    );
  }
  const { clients, listen } = world(t);
  await listen('tcp://127.0.0.1:0');
  const port = portOf(clients);
  await t.rejects(world(t).listen(`tcp://127.0.0.1:${port}`), {
    facts: { failure: 'address in use' },
    message: `tcp://127.0.0.1:${port}: cannot listen: another process listens there: choose another address with --listen`,
  });
});

await test('a client of the predecessor counts like any other', async (t) => {
  const { clients, served, lines, end, listen } = world(t);
  await listen({ address: 'tcp://127.0.0.1:0', maxConnectionsPerPeer: 1 });
  const [fd, other] = sockets.pair();
  t.teardown(() => descriptors.close(other));
  const peer = peerAt({ kind: 'tcp', host: '127.0.0.1', port: 1 });
  const resume = {
    export: '',
    form: 'simple',
    contexts: [],
    skip: 0,
    received: new Uint8Array(0),
  } as const;
  clients.take(fd, { peer, exports: null, resume });
  t.match(served, [{ fd, info: { peer, resume } }]);
  const refused = client(t, portOf(clients));
  await new Promise((resolve) => refused.once('close', resolve));
  t.equal(lines.length, 1);
  end();
  t.equal(clients.count, 0);
});

await test('after leave(), another process accepts on the same sockets', async (t) => {
  const first = world(t);
  await first.listen('tcp://127.0.0.1:0', 'tcp://127.0.0.1:0');
  const ports = [portOf(first.clients, 0), portOf(first.clients, 1)];
  // An upgrade passes descriptors like this, here within one process.
  const listening = new Map<string, { fd: number; uri: string; file: null }[]>();
  for (const { key, socket } of first.clients.offeredSockets) {
    const copy = duplicate(t, socket.fd);
    const known = listening.get(key ?? '') ?? [];
    listening.set(key ?? '', [...known, { fd: copy, uri: socket.uri, file: null }]);
  }
  first.clients.leave();
  t.same(first.clients.titles, []);
  const second = world(t);
  const spec = listenerSpec('tcp://127.0.0.1:0');
  await second.clients.listen({ listen: [spec, spec], activated: [], listening });
  t.equal(second.clients.titles.length, 2, 'each socket once');
  for (const port of ports) client(t, port);
  await until(() => second.served.length === 2);
  t.equal(first.served.length, 0);
});

/** Another descriptor of the same socket. */
function duplicate(t: Test, fd: number): number {
  const [a, b] = sockets.pair();
  t.teardown(() => [a, b].forEach((each) => descriptors.close(each)));
  const byte = Buffer.from('x');
  descriptors.send(a, byte, 0, 1, new Int32Array([fd]));
  const got = new Int32Array(1);
  descriptors.recv(b, byte, 0, 1, got);
  return got[0] ?? -1;
}

await test('only clients on Unix sockets are identified by their user', async (t) => {
  const { clients } = world(t);
  const fd = sockets.listenTcp('127.0.0.1', 0, 1);
  t.teardown(() => descriptors.close(fd));
  const spec = { ...listenerSpec('fd://web'), users: [0] };
  await t.rejects(
    clients.listen({ listen: [], activated: [{ socket: { fd, name: 'web' }, spec }] }),
    {
      code: 'BAD_CONFIG',
      message: /descriptor \d+ \("web"\): nbd:.* is not a Unix socket/,
    },
  );
});

await test('a listener that is opened after the end is closed at once', async (t) => {
  const { clients, listen } = world(t);
  const path = join(mkdtempSync(join(tmpdir(), 'obd-clients-')), 's');
  t.teardown(() => rmSync(dirname(path), { recursive: true, force: true }));
  const listening = listen({ address: 'tcp://127.0.0.1:0' }, { address: `unix://${path}` });
  clients.close();
  await listening;
  t.notOk(existsSync(path));
  t.same(clients.titles, []);
});

await test('what is wrong with a listener is found before it listens', (t) => {
  const { clients } = world(t);
  const folder = mkdtempSync(join(tmpdir(), 'check-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'file'), '');
  mkdirSync(join(folder, 'dir'));
  const check = (config: ListenerConfig): void =>
    clients.check({ listen: [listenerSpec(config)], activated: [] });
  const wrong: [ListenerConfig, string, RegExp][] = [
    [
      { address: `unix://${folder}/s`, users: ['12'] },
      'NOT_FOUND',
      /user "12": there is no such name/,
    ],
    [
      { address: `unix://${folder}/s`, group: '12' },
      'NOT_FOUND',
      /group "12": there is no such name/,
    ],
    ['fd://web', 'BAD_CONFIG', /^fd:\/\/web: no socket of that name was passed$/],
    [`unix:///${'x'.repeat(107)}`, 'SOCKET', /too long for a socket/],
    [`unix:///proc/none/s`, 'SOCKET', /its folder does not exist$/],
    [`unix://${folder}/dir`, 'SOCKET', /the path is a folder$/],
    [`unix://${folder}/file`, 'SOCKET', /the path is not a socket$/],
  ];
  for (const [config, code, message] of wrong) {
    t.throws(() => check(config), { code, message }, JSON.stringify(config));
  }
  t.doesNotThrow(() => check(`unix:///tmp/${process.pid}.sock`));
  t.doesNotThrow(() => check('tcp://127.0.0.1:0'));
  t.end();
});
