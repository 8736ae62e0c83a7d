// Faults that come and go while many clients read: every read is right, or EIO; and then all is right.
import { join } from 'node:path';
import type { Test } from 'tap';
import { DaemonProcess, shortFolder } from '../support/daemon-process.js';
import { RawNbdClient, tick } from '../support/nbd-client.js';
import { seededRandom } from '../support/pattern.js';
import { FAULTS } from '../support/registry/faults.js';
import { comparePatiently, remoteImage, remoteOptions } from '../support/registry/remote-image.js';
import type { FaultOptions } from './options.js';
import { RandomReads } from './random-reads.js';

const CLIENTS = 6;
const PASSING = FAULTS.filter(({ lasting }) => lasting !== null);
/** Milliseconds that a set of faults stays. */
const WEATHER = 250;

/** @param options `count`: how many sets of faults */
export async function storm(t: Test, { count, seed, size }: FaultOptions): Promise<void> {
  const random = seededRandom(seed);
  const { front, files, name, image } = await remoteImage(t, {
    files: { size },
    front: { redirect: 'store', auth: { scheme: 'bearer', anonymous: true, ttl: 2 } },
  });
  const total = image.layers.reduce((sum, layer) => sum + layer.size, 0);
  const cache = join(shortFolder(t), 'cache');
  // Small, so that there is always something to fetch.
  const limit = ['--cache-size', `${Math.round(total / 4)}`];
  const daemon = await DaemonProcess.start(t, [
    name,
    ...remoteOptions([front], cache, 2),
    ...limit,
  ]);
  let over = false;
  const reads = Array.from({ length: CLIENTS }, (_, i) => new RandomReads(files.device, seed + i));
  const going = reads.map(async (each) => {
    const client = await RawNbdClient.open(daemon.unix);
    await each.until(client, () => over);
    client.destroy();
  });
  for (let set = 0; set < count; set++) {
    for (let i = 0; i < 3; i++) {
      const fault = PASSING[random() % PASSING.length];
      const kind = random() % 2 === 0 ? 'data' : 'blob';
      const skip = random() % 4;
      if (fault) front.rule({ match: { kind }, action: fault.action, skip, times: 3 });
    }
    if (random() % 8 === 0) front.urls.expireAll();
    if (random() % 8 === 0) front.tokens?.expireAll();
    await tick(WEATHER);
    front.rules.clear();
    if (random() % 16 !== 0) continue;
    await front.die();
    await tick(WEATHER);
    await front.revive();
  }
  over = true;
  await Promise.all(going);
  t.same(
    reads.flatMap(({ wrong }) => wrong),
    [],
    'never a wrong byte',
  );
  const client = await RawNbdClient.open(daemon.unix);
  const problem = await comparePatiently(client, files.device);
  t.equal(problem, null, 'all is right when the faults have gone');
  client.destroy();
  await daemon.stop(t);
  const [right, failed] = (['right', 'failed'] as const).map((key) =>
    reads.reduce((sum, each) => sum + each[key], 0),
  );
  t.comment(`${count} sets of faults, ${right} reads were right, ${failed} were EIO`);
}
