// What the words of `attach` mean, and `status` for people. The commands themselves: test/e2e.
import { writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { test } from 'tap';
import { folderOf, sourceOf } from '../../../daemon/cli/attach-device.js';
import { nodeOf } from '../../../daemon/cli/device-node.js';
import { renderStatus } from '../../../daemon/cli/status.js';
import type { DaemonStatus, DeviceStatus } from '../../../daemon/control/api.js';

function device(change: Partial<DeviceStatus>): DeviceStatus {
  return {
    id: '0123456789abcdef',
    device: '/dev/nbd0',
    state: 'connected',
    export: null,
    partition: null,
    onClose: false,
    image: '/images/a.json',
    size: 1 << 20,
    since: '2026-01-02T03:04:05.678Z',
    connections: 2,
    liveConnections: 2,
    timeoutSeconds: 10,
    deadConnTimeoutSeconds: 90,
    blockSize: 512,
    requests: 12_345,
    errors: 0,
    bytesSent: 1,
    reconnects: 3,
    ...change,
  };
}

await test('files are an image, one other word is an export', async (t) => {
  const file = join(t.testdir({ 'image.json': '{}' }), 'image.json');
  t.same(sourceOf([file]), { image: [file] });
  t.same(sourceOf([relative(process.cwd(), file)]), { image: [file] }, 'the daemon is elsewhere');
  t.same(sourceOf(['web']), { export: 'web' });
  t.throws(() => sourceOf([]), { code: 'BAD_ARGUMENT' });
  t.throws(() => sourceOf(['no/such/file']), { code: 'NOT_FOUND', message: /no\/such\/file/ });
  writeFileSync(`${file}2`, '');
  t.same(sourceOf([file, `${file}2`]), { image: [file, `${file}2`] });
});

await test('devices and folders', async (t) => {
  t.equal(nodeOf('nbd7'), '/dev/nbd7');
  t.equal(nodeOf('/dev/nbd7'), '/dev/nbd7');
  t.equal(nodeOf('sda'), 'sda');
  t.equal(folderOf('/run/x'), '/run/x');
  t.equal(folderOf('x'), join(process.cwd(), 'x'));
});

await test('status for people', async (t) => {
  const status: DaemonStatus = {
    pid: 77,
    version: '1.2.3',
    since: '2026-01-01T00:00:00.000Z',
    listening: [],
    clients: 4,
    images: { served: 1, opening: 0, failed: 1 },
    exports: [
      {
        name: 'a\nb',
        state: 'served',
        image: 'i\u001b[31m',
        description: 'd',
        size: 5,
        problem: null,
      },
      {
        name: 'bad',
        state: 'failed',
        image: '/x',
        description: '',
        size: 0,
        problem: { code: 'IO', message: 'no\ndisk', since: 'then', tries: 3, retrySeconds: 4 },
      },
    ],
    stuckFiles: [{ file: '/i\u001b[31m', threads: 2, seconds: 9, exports: ['a\nb', 'b'] }],
    devices: [
      device({}),
      device({ device: '/dev/nbd10', state: 'waiting', liveConnections: 0, export: 'web' }),
    ],
  };
  const lines = renderStatus(status).split('\n');
  t.ok(
    lines.includes(
      'export "bad": failed: no\\ndisk; 3 tries since then, the next 4 s after the last',
    ),
  );
  t.equal(lines.length, 9, 'names cannot make lines of their own');
  t.notOk(lines.join().includes('\u001b'), 'nor colours');
  t.match(lines[0], 'overlaybd-nbd 1.2.3, process 77');
  t.equal(lines[1], 'listening: nowhere');
  t.match(lines[5], /^stuck: .*: 2 threads wait for it, 9 s; exports that need it: "a\\+nb", "b"$/);
  t.match(lines[6], /^DEVICE +STATE +CONNECTIONS +SINCE +REQUESTS +ERRORS +RECONNECTS +IMAGE$/);
  t.match(
    lines[7],
    /^\/dev\/nbd0 +connected +2\/2 +2026-01-02T03:04:05Z +12345 +0 +3 +\/images\/a\.json$/,
  );
  t.match(lines[8], /^\/dev\/nbd10 +waiting +0\/2 .* "web"$/);
  t.equal(lines[7]?.indexOf('connected'), lines[8]?.indexOf('waiting'), 'columns');
});
