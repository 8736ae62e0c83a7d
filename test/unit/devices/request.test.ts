// A request to attach compared with an attached device, and the request to the kernel.
import { test } from 'tap';
import {
  attachedByUs,
  connectRequestOf,
  deviceSize,
  differentSettings,
  isCalled,
  isSameSource,
} from '../../../daemon/devices/request.js';
import { RECORD } from '../../support/device-record.js';

const FILES = { ...RECORD, export: null };

await test('a request names the same source by its export', (t) => {
  t.ok(isSameSource(RECORD, { export: 'web' }));
  t.notOk(isSameSource(RECORD, { export: 'db' }));
  t.notOk(isSameSource(FILES, { export: 'web' }), 'the device was attached by its files');
  const partition = { ...RECORD, partition: 2 };
  t.ok(isSameSource(partition, { export: 'web' }), 'the export is a partition');
  t.ok(isSameSource(partition, { export: 'web', partition: 2 }));
  t.notOk(isSameSource(partition, { export: 'web', partition: 1 }));
  t.end();
});

await test('a request names the same source by its files', (t) => {
  t.ok(isSameSource(FILES, { image: ['/images/web.json'] }));
  t.notOk(isSameSource(FILES, { image: ['/images/db.json'] }));
  t.notOk(isSameSource(FILES, { image: ['/images/web.json', '/images/db.json'] }));
  t.notOk(isSameSource(FILES, { image: ['/images/web.json'], partition: 1 }));
  t.notOk(isSameSource(RECORD, { image: ['/images/web.json'] }), 'attached by its export');
  const beside = { tocBlob: null, tocDigest: null, ztocs: [], layer: 1 };
  t.notOk(isSameSource(FILES, { image: ['/images/web.json'], beside }));
  t.ok(isSameSource({ ...FILES, beside }, { image: ['/images/web.json'], beside }));
  t.end();
});

await test('settings that differ are named with the values of the device', (t) => {
  t.equal(differentSettings(RECORD, { export: 'web' }), '', 'missing settings do not differ');
  t.equal(differentSettings(RECORD, { export: 'web', connections: 2, blockSize: 512 }), '');
  t.equal(
    differentSettings(RECORD, { export: 'web', connections: 4, timeoutSeconds: 1 }),
    'connections=2, timeoutSeconds=10',
  );
  t.end();
});

await test('the size of a device is a multiple of its blocks', (t) => {
  t.equal(deviceSize(1024, { blockSize: 512, sizeMultiple: null }), 1024);
  t.equal(deviceSize(1025, { blockSize: 512, sizeMultiple: null }), 1536);
  t.equal(deviceSize(1025, { blockSize: 512, sizeMultiple: 4096 }), 4096);
  t.equal(deviceSize(5000, { blockSize: 4096, sizeMultiple: 512 }), 8192);
  t.end();
});

await test('a device is found by id, name and path', (t) => {
  for (const name of [RECORD.id, 'nbd3', '/dev/nbd3']) t.ok(isCalled(RECORD, name), name);
  for (const name of ['nbd33', 'nbd', 'web', '']) t.notOk(isCalled(RECORD, name), name);
  t.end();
});

await test('the request to the kernel has the backend and the flags of a simple export', (t) => {
  t.match(connectRequestOf({ ...RECORD, user: 994 }), {
    index: 3,
    size: 1 << 20,
    blockSize: 512,
    timeoutSeconds: 10,
    deadConnTimeoutSeconds: 90,
    serverFlags: 0x507,
    backend: 'overlaybd-nbd:0123456789abcdef@994',
  });
  t.end();
});

await test('the error for a device of this daemon names what it has attached', (t) => {
  t.match(attachedByUs(RECORD, 'an image', { export: 'db' }), {
    code: 'BUSY',
    message: '/dev/nbd3: in use: this daemon has attached the export "web" to it',
  });
  t.match(attachedByUs(FILES, '/images/web.json', { image: ['/images/web.json'] }), {
    message:
      /attached \/images\/web\.json to it, but the image has changed since: detach it first$/,
  });
  t.end();
});
