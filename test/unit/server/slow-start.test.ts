// The control socket of a daemon whose images are still being opened.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { ControlClient } from '../../../daemon/control/client.js';
import type { StateFolder } from '../../../daemon/devices/state-folder.js';
import { sourceOfWords, type ImageSource } from '../../../daemon/image/plan/image-source.js';
import { OPEN_PATIENCE_MS } from '../../../daemon/image/table.js';
import type { OpeningProgress } from '../../../daemon/lib/opening-progress.js';
import { SdNotify } from '../../../daemon/server/sd-notify.js';
import { SlowStart } from '../../../daemon/server/slow-start.js';
import { shortFolder } from '../../support/daemon-process.js';

const source = sourceOfWords(['docker://r.example/web']);
const progress = { bytes: 512, total: 1024, layer: 2, layers: 3 };

function world(t: Test, controlSocket: string | null) {
  const openings = new Map<ImageSource, OpeningProgress>();
  const sent: string[] = [];
  const manager = SdNotify.fromEnvironment({ NOTIFY_SOCKET: '@test' }, 1, (_, text) => {
    sent.push(text);
    return 1;
  });
  const lines: string[] = [];
  let now = 0;
  const state = { path: '', lockFd: -1, controlSocket, close: () => undefined };
  const start = new SlowStart(
    {
      exports: new Map([['web', source]]),
      images: { openings },
      state: controlSocket === null ? null : (state as unknown as StateFolder),
      manager,
      log: { log: (level: string, text: string) => void lines.push(`${level}: ${text}`) },
      since: 0,
    },
    () => now,
  );
  t.teardown(() => start.end());
  return { lines, openings, pass: (ms: number) => (now += ms), sent, start };
}

await test('it answers when an opening says how far it is', async (t) => {
  const path = join(shortFolder(t), 's');
  const { openings, sent, start } = world(t, path);
  t.equal(start.control, null);
  t.notOk(existsSync(path));
  openings.set(source, progress);
  start.look();
  start.look();
  t.ok(start.control);
  t.equal(sent.length, 1);
  t.match(sent[0], /^EXTEND_TIMEOUT_USEC=150000000\nSTATUS=opening docker:\/\/r\.example\/web: /);
  const client = new ControlClient(path);
  const status = await client.status();
  t.match(status, {
    pid: process.pid,
    listening: [],
    starting: true,
    images: { served: 0, opening: 1, failed: 0 },
    exports: [{ name: 'web', state: 'opening', image: 'docker://r.example/web' }],
    openings: [{ image: 'docker://r.example/web', ...progress }],
  });
  t.match((await client.exports()).exports, [{ name: 'web', state: 'opening' }]);
  await t.rejects(client.reload(), { code: 'BUSY', message: /the daemon is starting/ });
  start.control?.close();
  t.notOk(existsSync(path));
});

await test('it answers after some time, whatever the opening waits for', (t) => {
  const path = join(shortFolder(t), 's');
  const { pass, sent, start } = world(t, path);
  pass(OPEN_PATIENCE_MS - 1);
  start.look();
  t.equal(start.control, null);
  pass(1);
  start.look();
  t.ok(start.control);
  t.same(sent, [], 'the manager does not wait for what makes no progress');
  start.control?.close();
  t.end();
});

await test('without a state folder, or one that has no place for the socket, it only extends', (t) => {
  for (const path of [null, '/proc/none/s']) {
    const { lines, openings, sent, start } = world(t, path);
    openings.set(source, progress);
    start.look();
    start.look();
    t.equal(start.control, null);
    t.equal(sent.length, 1);
    t.equal(lines.length, path === null ? 0 : 1, 'one warning');
  }
  t.end();
});
