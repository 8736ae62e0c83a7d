// The successor's side of an upgrade, over a real socket pair.
import { test, type Test } from 'tap';
import { MessageChannel } from '../../../daemon/ipc/message-channel.js';
import { peerAt } from '../../../daemon/listen/peer.js';
import { descriptors } from '../../../daemon/native/descriptors.js';
import { sockets } from '../../../daemon/native/socket.js';
import type { ConnectionInfo } from '../../../daemon/reactor/reactor-thread.js';
import type { DeviceCounters } from '../../../daemon/devices/device.js';
import type { ToSuccessor } from '../../../daemon/upgrade/handover.js';
import { takeConnections } from '../../../daemon/upgrade/successor.js';
import { deferred } from '../../support/deferred.js';

const TRANSMISSION = {
  export: 'web',
  form: 'structured',
  contexts: ['base:allocation'],
  skip: 3,
  received: Buffer.from('half').toString('base64'),
} as const;
const RESUMED = { ...TRANSMISSION, received: Buffer.from('half') };
const DEVICE = {
  kind: 'device',
  group: 'x',
  uid: null,
  device: '00000000000000aa',
  text: 'x',
} as const;

function world(t: Test, hasDevices = true) {
  const [ours, theirs] = sockets.pair();
  const clients: Omit<ConnectionInfo, 'closed'>[] = [];
  const devices: [string, object][] = [];
  const counters: DeviceCounters[] = [];
  const lines: string[] = [];
  const ready = deferred();
  const predecessor = new MessageChannel(ours, {
    message: () => ready.resolve(),
    closed: () => undefined,
  });
  t.teardown(() => predecessor.close());
  const done = takeConnections(
    theirs,
    {
      take: (fd, client) => {
        descriptors.close(fd);
        clients.push(client);
      },
    },
    hasDevices
      ? {
          take: (id, fd, transmission) => {
            descriptors.close(fd);
            devices.push([id, transmission]);
          },
          takeCounters: (each) => void counters.push(...each),
        }
      : null,
    { log: (level, text) => void lines.push(`${level}: ${text}`) },
  );
  const offer = (message: ToSuccessor): void => {
    const [fd, other] = sockets.pair();
    const isConnection = message.type === 'connection';
    predecessor.send(message, isConnection ? [fd] : [], () => descriptors.close(fd));
    t.teardown(() => descriptors.close(other));
  };
  return { clients, devices, counters, lines, ready: ready.promise, done, offer, predecessor };
}

await test('clients and devices arrive, each with its peer', async (t) => {
  const { clients, devices, counters, lines, ready, done, offer } = world(t);
  await ready;
  const from = peerAt({ kind: 'tcp', host: '10.0.0.7', port: 1 });
  const message = { type: 'connection', exports: ['web'], transmission: TRANSMISSION } as const;
  offer({ ...message, peer: from.text, from });
  offer({ ...message, peer: DEVICE.text, from: DEVICE, exports: [] });
  const count = { id: DEVICE.device, requests: 1, errors: 2, bytesSent: 3, reconnects: 4 };
  offer({ type: 'done', counters: [count] });
  await done;
  t.same(clients, [{ peer: from, exports: ['web'], resume: RESUMED }]);
  t.same(devices, [[DEVICE.device, RESUMED]]);
  t.same(counters, [count]);
  t.same(lines, ['info: upgrade: took over 2 connections']);
});

await test('from a daemon of version 0.1, which sends peers as text', async (t) => {
  const { clients, devices, ready, done, offer } = world(t);
  await ready;
  const message = { type: 'connection', exports: null, transmission: TRANSMISSION } as const;
  offer({ ...message, peer: 'pid 7 uid 4711' });
  offer({ ...message, peer: `/dev/nbd3 ${DEVICE.device}` });
  offer({ type: 'done' });
  await done;
  const uid = process.getuid?.();
  t.match(clients, [{ peer: { kind: 'unix', group: `uid ${uid}`, text: 'pid 7 uid 4711' } }]);
  t.same(devices, [[DEVICE.device, RESUMED]]);
});

await test('without devices here, connections of devices are closed', async (t) => {
  const { clients, ready, done, offer } = world(t, false);
  await ready;
  const message = { type: 'connection', exports: [], transmission: TRANSMISSION } as const;
  offer({ ...message, peer: DEVICE.text, from: DEVICE });
  offer({ type: 'done' });
  await done;
  t.same(clients, []);
});

await test('a predecessor that dies, and one that sends no socket', async (t) => {
  const dying = world(t);
  await dying.ready;
  dying.predecessor.close();
  await dying.done;
  t.same(dying.lines, ['info: upgrade: took over 0 connections']);

  const wrong = world(t);
  await wrong.ready;
  wrong.predecessor.send({ type: 'connection', peer: 'x', transmission: TRANSMISSION }, []);
  await wrong.done;
  t.match(wrong.lines, [/^error: upgrade: .*without its socket/, /took over 0/]);
});
