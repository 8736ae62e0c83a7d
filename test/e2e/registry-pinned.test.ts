// Many images in a small cache: after kill -9, each of them opens again with the registry dead, because manifests,
// indexes, heads and tails stay, whatever is evicted.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { DaemonProcess, shortFolder } from '../support/daemon-process.js';
import { RawNbdClient } from '../support/nbd-client.js';
import { FaultFront } from '../support/registry/fault-front.js';
import { ImageLayout } from '../support/registry/image-layout.js';
import { writeLayerFiles } from '../support/registry/layer-files.js';
import { pushImage } from '../support/registry/push-image.js';
import {
  compare,
  comparePatiently,
  openPatiently,
  readOrError,
  remoteOptions,
  REPOSITORY,
} from '../support/registry/remote-image.js';

t.setTimeout(170_000);

const MIB = 1 << 20;
const IMAGES = 8;
const SIZE = 4 * MIB;
const EIO = 5;

await t.test('every image opens again', async (test) => {
  const folder = shortFolder(test);
  const layout = new ImageLayout(join(folder, 'layout'));
  const platforms = [
    { os: 'linux', architecture: 'amd64' },
    { os: 'linux', architecture: 'arm64' },
  ];
  const devices = new Map<string, Buffer>();
  let bytes = 0;
  for (let i = 0; i < IMAGES; i++) {
    const tag = `image-${i}`;
    const files = writeLayerFiles(folder, { size: SIZE, seed: 10 * i + 1 });
    // Half of them have an index, which has to stay, too.
    const more = i % 2 === 0 ? {} : { platforms };
    const { layers } = await pushImage(layout, { blobs: files.blobs, tag, ...more });
    bytes += layers.reduce((sum, { size }) => sum + size, 0);
    devices.set(tag, files.device);
  }
  const front = await FaultFront.start(test, { repositories: { [REPOSITORY]: layout } });
  const config = join(folder, 'daemon.json');
  const exports = Object.fromEntries(
    [...devices.keys()].map((tag) => [tag, front.name(REPOSITORY, tag)]),
  );
  writeFileSync(config, JSON.stringify({ exports }));
  const limit = Math.round(bytes / 4);
  const args = ['--config', config, ...remoteOptions([front], join(folder, 'cache'), 2)];
  const options = [...args, '--cache-size', `${limit}`];

  const first = await DaemonProcess.start(test, options);
  for (const [tag, device] of devices) {
    const client = await openPatiently(first.unix, tag);
    test.equal(await compare(client, device), null, tag);
    client.destroy();
  }
  test.ok(front.log.dataBytes() > limit, `${front.log.dataBytes()} bytes in a cache of ${limit}`);
  first.child.kill('SIGKILL');
  await first.exited();
  await front.die();

  const daemon = await DaemonProcess.start(test, options);
  let right = 0;
  for (const [tag, device] of devices) {
    const client = await RawNbdClient.open(daemon.unix, tag);
    for (const offset of [0, MIB, SIZE - 4096]) {
      const got = await readOrError(client, offset, 4096);
      if (typeof got === 'number') test.equal(got, EIO, tag);
      else if (got.equals(device.subarray(offset, offset + 4096))) right++;
      else test.fail(`${tag}: wrong bytes at ${offset}`);
    }
    client.destroy();
  }
  test.ok(right > 0, `${right} reads were right, the others EIO`);
  await front.revive();
  for (const [tag, device] of devices) {
    const client = await RawNbdClient.open(daemon.unix, tag);
    test.equal(await comparePatiently(client, device, MIB, 2 * MIB), null, tag);
    client.destroy();
  }
  await daemon.stop(test);
});
