// Metrics of a daemon over HTTP, from the parts of it; and an address that another daemon still has.
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import type { DaemonStatus } from '../../../daemon/control/api.js';
import { ExportCounters } from '../../../daemon/reactor/export-counters.js';
import type { Daemon } from '../../../daemon/server/daemon.js';
import { MetricsPoint } from '../../../daemon/server/metrics-point.js';
import { shortFolder } from '../../support/daemon-process.js';
import { readMetrics } from '../../support/metrics-reader.js';

const status = {
  version: '1',
  clients: 0,
  images: { served: 1, opening: 0, failed: 0 },
  exports: [],
  devices: [],
  stuckFiles: [],
} as unknown as DaemonStatus;

const answer = () => Promise.resolve(status);

function parts() {
  const counters = new ExportCounters();
  counters.ended({ export: 'a', requests: 3, errors: 1, bytesSent: 5 });
  const open = new Map([[1, { export: 'a', requests: 4, errors: 0, bytesSent: 6 }]]);
  const daemon = {
    images: { exports: new Map() },
    reactors: {
      counters,
      measure: () => {
        const spins = { looks: 0, found: 0, nanoseconds: 0 };
        return Promise.resolve({ open, waits: new Map(), spins });
      },
    },
  } as unknown as Daemon;
  const lines: string[] = [];
  const log = { log: (level: string, message: string) => void lines.push(`${level}: ${message}`) };
  return { daemon, lines, log };
}

await t.test('what has ended and what is open are counted', async (test) => {
  const { daemon, lines, log } = parts();
  const path = join(shortFolder(test), 'm.sock');
  const point = new MetricsPoint({ path }, daemon, answer, () => Promise.resolve(null), log);
  await point.start();
  test.teardown(() => point.close());
  test.same(lines, [`info: metrics: unix://${path}`]);
  const body = await readMetrics(path);
  test.match(body, 'obd_reads_total{export="a",result="ok"} 6\n');
  test.match(body, 'obd_sent_bytes_total{export="a"} 11\n');
});

await t.test('an address in use is tried again, and warned of once', async (test) => {
  const { daemon, lines, log } = parts();
  const blocker = createServer();
  await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
  const address = blocker.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const { port } = address;
  const where = { host: '127.0.0.1', port };
  const point = new MetricsPoint(where, daemon, answer, () => Promise.resolve(null), log);
  test.teardown(() => point.close());
  await point.start();
  test.match(lines, [
    /^warn: metrics: http:\/\/127\.0\.0\.1:\d+\/metrics: .*EADDRINUSE.*; trying again$/,
  ]);
  await new Promise((resolve) => blocker.close(resolve));
  // There is no other sign than the line.
  while (lines.length < 2) await pause(20);
  test.equal(lines[1], `info: metrics: http://127.0.0.1:${port}/metrics`);
});

await t.test('closed while it tries: it stays closed', async (test) => {
  const { daemon, lines, log } = parts();
  const path = join(shortFolder(test), 'm.sock');
  const point = new MetricsPoint({ path }, daemon, answer, () => Promise.resolve(null), log);
  point.close();
  await point.start();
  test.same(lines, []);
  await test.rejects(readMetrics(path), { code: 'ENOENT' });
});
