// The settings of a device at their limits.
import { test } from 'tap';
import * as v from 'valibot';
import { connectRequest, deviceSettings } from '../../../daemon/kernel/device-settings.js';

const GOOD = {
  index: 3,
  size: 1 << 20,
  blockSize: 512,
  timeoutSeconds: 10,
  deadConnTimeoutSeconds: 90,
  serverFlags: 0x507,
  backend: 'overlaybd-nbd:0123456789abcdef@0',
};

await test('each setting is accepted up to its limits and refused beyond', (t) => {
  const cases: [keyof typeof deviceSettings, unknown[], unknown[]][] = [
    ['connections', [1, 16], [0, 17, 1.5, '1', null]],
    ['timeoutSeconds', [1, 86_400], [0, 86_401, -1]],
    ['deadConnTimeoutSeconds', [0, 86_400], [-1, 86_401]],
    ['blockSize', [512, 1024, 2048, 4096], [0, 256, 513, 8192, '512']],
  ];
  for (const [name, good, bad] of cases) {
    const schema: v.GenericSchema = deviceSettings[name];
    for (const value of good) t.ok(v.is(schema, value), `${name} ${String(value)}`);
    for (const value of bad) t.notOk(v.is(schema, value), `${name} ${String(value)}`);
  }
  t.end();
});

await test('a request to the kernel has every key, and a backend of overlaybd-nbd', (t) => {
  t.ok(v.is(connectRequest, GOOD));
  for (const key of Object.keys(GOOD)) {
    t.notOk(v.is(connectRequest, { ...GOOD, [key]: undefined }), `without ${key}`);
  }
  t.notOk(v.is(connectRequest, { ...GOOD, more: 1 }), 'an unknown key');
  for (const backend of ['qemu', 'overlaybd-nbd:', 'overlaybd-nbd:a b', `overlaybd-nbd:\n`])
    t.notOk(v.is(connectRequest, { ...GOOD, backend }), JSON.stringify(backend));
  t.ok(v.is(connectRequest, { ...GOOD, backend: `overlaybd-nbd:${'x'.repeat(114)}` }));
  t.notOk(v.is(connectRequest, { ...GOOD, backend: `overlaybd-nbd:${'x'.repeat(115)}` }));
  t.end();
});
