// The text output of `status`. The command itself: test/e2e.
import { test } from 'tap';
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

await test('status shows one escaped line for each listener, export and device', async (t) => {
  const status: DaemonStatus = {
    pid: 77,
    version: '1.2.3',
    since: '2026-01-01T00:00:00.000Z',
    listening: [],
    clients: 4,
    cache: null,
    images: { served: 1, opening: 0, failed: 1 },
    exports: [
      {
        name: 'a\nb',
        state: 'served',
        image: 'i\u001b[31m',
        description: 'd',
        size: 5,
        problem: null,
        remote: null,
        added: false,
      },
      {
        name: 'bad',
        state: 'failed',
        image: '/x',
        description: '',
        size: 0,
        problem: {
          code: 'IO',
          message: 'no\ndisk',
          facts: {},
          since: 'then',
          tries: 3,
          retrySeconds: 4,
        },
        remote: null,
        added: false,
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
  t.equal(lines.length, 9, 'names cannot add lines');
  t.notOk(lines.join().includes('\u001b'), 'names cannot change colours');
  t.match(lines[0], 'overlaybd-nbd 1.2.3, process 77');
  const remote = {
    bytes: 1000,
    cachedBytes: 455,
    hits: 9,
    misses: 1,
    waiting: 2,
    lastError: 'no\nroute',
  };
  const unreachable = [{ host: 'h\u001b', lastError: null }];
  const cache = { folder: '/c', bytes: 2048, limit: 4096, degraded: 'full', unreachable };
  const [served] = status.exports;
  const far = renderStatus({ ...status, cache, exports: served ? [{ ...served, remote }] : [] });
  t.match(far, '5 bytes; 45 % of 1000 bytes cached, 90 % of reads from the cache, 2 reads waiting');
  t.match(far, 'last error: no\\nroute');
  t.match(far, '\ncache: /c: 2.0 KiB of 4.0 KiB; degraded: full\n');
  t.match(far, 'registry h\\u{1b}: does not answer: no reason is known');
  t.equal(lines[1], 'listening: nowhere');
  t.match(
    lines[5],
    /^stuck: .*: 2 threads have waited for it for 9 s; exports that need it: "a\\+nb", "b"$/,
  );
  t.match(lines[6], /^DEVICE +STATE +CONNECTIONS +SINCE +REQUESTS +ERRORS +RECONNECTS +IMAGE$/);
  t.match(
    lines[7],
    /^\/dev\/nbd0 +connected +2\/2 +2026-01-02T03:04:05Z +12345 +0 +3 +\/images\/a\.json$/,
  );
  t.match(lines[8], /^\/dev\/nbd10 +waiting +0\/2 .* "web"$/);
  t.equal(lines[7]?.indexOf('connected'), lines[8]?.indexOf('waiting'), 'columns are aligned');
});
