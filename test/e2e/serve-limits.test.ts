// The daemon at the limits of the system; its own limits: hostile-client.test.ts.
import { join } from 'node:path';
import t from 'tap';
import { askRaw, socketOf, waitForControl } from '../support/control.js';
import { DaemonProcess, shortFolder } from '../support/daemon-process.js';
import { writeRaw } from '../support/e2e-images.js';
import { RawNbdClient, tick } from '../support/nbd-client.js';
import { requireTool } from '../support/tools.js';

t.setTimeout(900_000);

await t.test('accepting without free descriptors is logged once, and recovers', async (test) => {
  if (!requireTool(test, 'prlimit')) return;
  const path = join(shortFolder(test), 'raw.img');
  const raw = writeRaw(path, 1, 10_000);
  const state = join(shortFolder(test), 'state');
  const args = [path, '--threads', '1', '--state', state];
  const daemon = await DaemonProcess.start(test, args, { openFiles: 128 });
  // No file is being loaded, which takes descriptors and returns them.
  await waitForControl(socketOf(state));
  await askRaw(socketOf(state), { path: '/v1/status' });
  // The thread starts before descriptors run out: it needs a few, and more with coverage.
  await (await RawNbdClient.open(daemon.unix)).disconnect();
  const crowd = await Promise.all(
    Array.from({ length: 160 }, () => RawNbdClient.connect(daemon.unix)),
  );
  await daemon.waitForLines(/accepting failed: EMFILE/);
  await tick(1000); // several tries
  test.equal(daemon.lines(/accepting failed/).length, 1, 'one line, not one for each try');
  for (const client of crowd) client.destroy();
  const good = await RawNbdClient.open(daemon.unix);
  test.same(await good.read(0, 100), raw.subarray(0, 100));
  await good.disconnect();
  await daemon.stop(test);
});
