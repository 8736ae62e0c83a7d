// The end of the parent process: noticed by a new parent, or by the owner of the listening sockets.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import { descriptors } from '../../../daemon/native/descriptors.js';
import { sockets } from '../../../daemon/native/socket.js';
import { watchParent } from '../../../daemon/server/parent-watch.js';

const folder = mkdtempSync(join(tmpdir(), 'obd-'));
t.teardown(() => rmSync(folder, { recursive: true }));
const socket = sockets.listenUnix(join(folder, 's'), 1);
t.teardown(() => descriptors.close(socket));

/** The id of another process, which made the socket. */
const OTHER = process.pid + 1;

for (const [what, alive, parent, ends] of [
  ['all are there', [process.pid], [7, 7, 7], false],
  ['the parent changes', [process.pid], [7, 7, 1], true],
  ['who made the socket is gone already', [], [1, 1, 1], true],
] as const) {
  await t.test(what, async (test) => {
    const parents = [...parent];
    const seen = { looks: 0, isGone: false };
    const watch = watchParent([socket], () => (seen.isGone = true), {
      pid: OTHER,
      parent: () => parents[Math.min(seen.looks++, 2)] ?? 0,
      isAlive: (pid) => alive.some((each) => each === pid),
    });
    while (!seen.isGone && seen.looks < 4) await pause(10);
    watch.stop();
    test.equal(seen.isGone, ends);
  });
}

await t.test('a daemon that systemd-socket-activate has started in its place', async (test) => {
  const seen = { looks: 0, isGone: false };
  const watch = watchParent([socket], () => (seen.isGone = true), {
    pid: process.pid,
    parent: () => (seen.looks++, 7),
    isAlive: () => false,
  });
  while (!seen.isGone && seen.looks < 3) await pause(10);
  watch.stop();
  test.notOk(seen.isGone);
});
