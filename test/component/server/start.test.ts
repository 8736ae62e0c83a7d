// A whole daemon in this process: its parts start in order, and a failed start leaves nothing.
import { DEFAULT_REGISTRY_SETTINGS } from '../../../daemon/config/registry-settings.js';
import { existsSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { listenerSpec } from '../../../daemon/config/listener.js';
import { ControlClient } from '../../../daemon/control/client.js';
import { StateFolder } from '../../../daemon/devices/state-folder.js';
import { sourceOfWords } from '../../../daemon/image/plan/image-source.js';
import type { DeferredLogger } from '../../../daemon/log/deferred-logger.js';
import { Daemon } from '../../../daemon/server/daemon.js';
import { SdNotify } from '../../../daemon/server/sd-notify.js';
import type { Signals } from '../../../daemon/server/signals.js';
import { start, type ServeOptions, type Surroundings } from '../../../daemon/server/start.js';
import { shortFolder } from '../../support/daemon-process.js';

function world(t: Test) {
  const folder = shortFolder(t);
  const image = join(folder, 'disk.img');
  writeFileSync(image, Buffer.alloc(4096, 7));
  const socket = join(folder, 's');
  const state = join(folder, 'state');
  const exports = new Map([['', sourceOfWords([image])]]);
  const options: ServeOptions = {
    daemon: {
      exports,
      listen: [listenerSpec(`unix://${socket}`)],
      activated: [],
      strict: false,
      mustOpen: () => true,
      threads: 1,
      spinMicroseconds: 0,
      tls: null,
      registries: DEFAULT_REGISTRY_SETTINGS,
      traces: { record: null, replay: null },
    },
    readServed: async () => ({ exports, tls: null, registries: DEFAULT_REGISTRY_SETTINGS }),
    state: { folder: state, isRequired: true },
    devices: { helperSocket: '/nowhere', noNetlink: false, maxDevices: 1, onDemand: false },
    stdio: false,
    readDeadlineSeconds: 8,
    metrics: null,
    lockMemory: false,
  };
  const lines: string[] = [];
  const log = {
    log: (level: string, text: string) => void lines.push(`${level}: ${text}`),
    write: async () => undefined,
  } as unknown as DeferredLogger;
  const ending: { end?: (why: string) => void } = {};
  const signals = {
    ended: new Promise<string>((resolve) => {
      ending.end = resolve;
    }),
    onReload: () => undefined,
    onUpgrade: () => undefined,
  } as unknown as Signals;
  const told: string[] = [];
  const manager = SdNotify.fromEnvironment({ NOTIFY_SOCKET: '@test' }, 1, (_, text) => {
    told.push(text.split('\n')[0] ?? '');
    return text.length;
  });
  const around: Surroundings = {
    startedWith: { handover: null, activated: [] },
    signals,
    manager,
    log,
  };
  return { around, image, lines, options, socket, state, told, ending };
}

await test('a daemon runs from start to end', async (t) => {
  const { around, ending, lines, options, socket, state, told } = world(t);
  const daemon = await start(options, around);
  t.ok(lines.includes(`info: ready: nbd+unix:///?socket=${socket}`), lines.join('\n'));
  t.equal(told.at(-1), 'READY=1');
  const client = connect(socket);
  const [greeting] = (await new Promise((resolve) => {
    client.once('data', (bytes: Buffer) => resolve([bytes.toString('latin1', 0, 8)]));
  })) as [string];
  t.equal(greeting, 'NBDMAGIC');
  client.destroy();
  const status = await new ControlClient(join(state, 'control.sock')).status();
  t.match(status.exports, [{ name: '', state: 'served', size: 4096 }]);
  ending.end?.('SIGTERM');
  t.equal(await daemon.ended, 'SIGTERM');
  await daemon.stop();
  t.notOk(existsSync(socket));
  t.notOk(existsSync(join(state, 'control.sock')));
  StateFolder.open(state).close();
  t.equal(lines.at(-1), 'info: stopped');
});

await test('an image that cannot be opened: the state folder is unlocked', async (t) => {
  const { around, image, options, socket, state } = world(t);
  writeFileSync(image, '');
  await t.rejects(start(options, around), { message: /disk\.img/ });
  t.notOk(existsSync(socket));
  StateFolder.open(state).close();
});

await test('a state folder that cannot be used is an error', async (t) => {
  const { around, image, lines, options } = world(t);
  const folder = join(image, 'below a file');
  await t.rejects(start({ ...options, state: { folder, isRequired: true } }, around), {
    code: 'IO',
    message: /^state folder /,
  });
  const daemon = await start({ ...options, state: { folder, isRequired: false } }, around);
  t.ok(
    lines.some((line) => line.startsWith('info: serving without a control socket and devices: ')),
  );
  await daemon.stop();
});

await test('an end that comes while a failed opening is released: all is released once', async (t) => {
  const { options, lines } = world(t);
  const log = { log: (_: string, text: string) => void lines.push(text) };
  const listen = [listenerSpec('unix:///nowhere/at/all')];
  const daemon = await Daemon.make({ ...options.daemon, listen }, log);
  const { reactors, fetcher } = daemon;
  const released: string[] = [];
  const stops: Promise<void>[] = [];
  const terminate = reactors.terminate.bind(reactors);
  reactors.terminate = () => {
    released.push('reactors');
    if (stops.length === 0) stops.push(daemon.stop());
    return terminate();
  };
  const close = fetcher.close.bind(fetcher);
  fetcher.close = () => {
    released.push('fetcher');
    return close();
  };
  await t.rejects(daemon.open({ ...options.daemon, listen }), { message: /nowhere/ });
  t.equal(stops.length, 1, 'it was told to end meanwhile');
  await Promise.all(stops);
  t.same(released, ['reactors', 'fetcher']);
});
