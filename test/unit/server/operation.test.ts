// When the service manager learns that the daemon is ready, with fake parts. With a real systemd: test/systemd.
import { DEFAULT_REGISTRY_SETTINGS } from '../../../daemon/config/registry-settings.js';
import { setTimeout as pause } from 'node:timers/promises';
import { test, type Test } from 'tap';
import type { Daemon } from '../../../daemon/server/daemon.js';
import type { DeviceManager } from '../../../daemon/devices/manager.js';
import type { ControlPoint } from '../../../daemon/server/control-point.js';
import { Operation } from '../../../daemon/server/operation.js';
import { SdNotify } from '../../../daemon/server/sd-notify.js';

function makeOperation(t: Test) {
  const told: string[] = [];
  const log: string[] = [];
  let repaired: ((without: string[]) => void) | null = null;
  const devices = {
    size: 2,
    recover: async () => void told.push('recover'),
    status: async () => [],
    repairAll: () => new Promise<string[]>((resolve) => (repaired = resolve)),
    stop: () => undefined,
  };
  const control = { serve: async () => void told.push('serve'), close: () => undefined };
  const daemon = {
    images: { exports: new Map(), failed: new Map() },
    clients: { count: 0 },
    reactors: { count: async () => new Map() },
    stop: async () => undefined,
  };
  const manager = SdNotify.fromEnvironment({ NOTIFY_SOCKET: '@test' }, 1, (_, text) => {
    told.push(text.split('\n')[0] ?? '');
    return text.length;
  });
  const operation = new Operation({
    daemon: daemon as unknown as Daemon,
    devices: devices as unknown as DeviceManager,
    control: control as unknown as ControlPoint,
    added: null,
    manager,
    log: {
      log: (level, text, fields) => void log.push(`${level}: ${text} ${JSON.stringify(fields)}`),
    },
    metrics: null,
    readServed: async () => ({
      exports: new Map(),
      tls: null,
      registries: DEFAULT_REGISTRY_SETTINGS,
    }),
  });
  t.teardown(() => operation.stop());
  return { operation, told, log, repaired: (without: string[]) => repaired?.(without) };
}

await test('the daemon is ready when devices have their connections', async (t) => {
  const { operation, told, log, repaired } = makeOperation(t);
  await operation.start(null);
  t.same(told, ['recover', 'serve'], 'the control socket is served before that');
  const ready = operation.ready();
  await pause(20);
  t.same(told.slice(2), ['STATUS=giving devices their connections']);
  repaired([]);
  await ready;
  t.equal(told.at(-1), 'READY=1');
  t.same(log, []);
});

await test('devices that are still waiting are named in the status', async (t) => {
  const { operation, told, log, repaired } = makeOperation(t);
  await operation.start(null);
  const ready = operation.ready();
  repaired(Array.from({ length: 20 }, (_, i) => `/dev/nbd${i}`));
  await ready;
  t.equal(told.at(-1), 'READY=1');
  t.match(log[0], /^warn: \/dev\/nbd0: no connection after 10 s.* \{"device":"\/dev\/nbd0"\}$/);
  t.match(log.slice(10), [/^warn: devices: 10 more like these/]);
});

await test('a daemon that is stopped does not become ready', async (t) => {
  const { operation, told, repaired } = makeOperation(t);
  await operation.start(null);
  const ready = operation.ready();
  await operation.stop();
  repaired(['/dev/nbd0']);
  await ready;
  t.notOk(told.includes('READY=1'));
  t.equal(told.at(-1), 'STOPPING=1');
});
