// OverlayBD layers of a registry without annotations: all of their bytes are compared once, and after that each chunk with its
// own digest, when it is read or fetched again.
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { CHUNK_SIZE } from '../../daemon/blob/chunk-map.js';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { writeDiskLayer } from '../support/lsmt-writer.js';
import { randomBytes } from '../support/pattern.js';
import { findFiles, LAYER } from '../support/plain-image.js';
import { sha256 } from '../support/registry/image-place.js';
import { pushFiles } from '../support/registry/push-image.js';
import {
  openPatiently,
  readOrError,
  remoteImage,
  remoteOptions,
  REPOSITORY,
} from '../support/registry/remote-image.js';

t.setTimeout(600_000);

const SIZE = 8 << 20;
const device = randomBytes(1, SIZE);
const layer = writeDiskLayer(device);
const digest = sha256(layer);
/** Of the data in the blob. */
const HEADER = 4096;

await t.test('compared once, and lazy after that', async (test) => {
  const { front, layout } = await remoteImage(test);
  await pushFiles(layout, 'app', [{ bytes: layer, mediaType: LAYER }]);
  const cache = join(shortFolder(test), 'cache');
  const args = [front.name(REPOSITORY, 'app'), ...remoteOptions([front], cache)];
  const start = async (): Promise<DaemonProcess> => DaemonProcess.start(test, args);
  const records = join(cache, 'v1/layers');
  const record = join(records, `${digest.slice('sha256:'.length)}.layer`);
  const evict = async (): Promise<void> => {
    for (const path of await findFiles(cache, [digest])) rmSync(path);
  };
  const fetched = (from: number): number => front.log.dataBytes() - from;

  const first = await start();
  await (await openPatiently(first.unix)).disconnect();
  await first.stop(test);
  test.ok(fetched(0) >= layer.length, 'all of it');
  const { size } = statSync(record);
  test.ok(size >= (layer.length / CHUNK_SIZE) * 16 && size < 8192, `${size} bytes`);

  // The cache has given up the blob: only what is read is fetched, and compared.
  await evict();
  let before = front.log.dataBytes();
  const [bad, healed] = [2_000_000, 3_500_000];
  const wrongAt = (at: number, times?: number) =>
    front.rule({
      match: { kind: 'data', reference: digest, covers: HEADER + at },
      action: { do: 'corrupt', at: HEADER + at },
      ...(times !== undefined && { times }),
    });
  const wrong = wrongAt(bad);
  const once = wrongAt(healed, 1);
  const second = await start();
  const client = await openPatiently(second.unix);
  test.ok(fetched(before) < layer.length / 4, `${fetched(before)} bytes to open it again`);
  test.equal(await readOrError(client, bad, 4096), 5);
  test.ok(wrong.hits >= 2, 'asked once more');
  await second.waitForLines(/chunk 30 \(bytes 1966080-2031615\): expected SHA-256 \w{32}\.\.\. /);
  test.same(await readOrError(client, healed, 4096), device.subarray(healed, healed + 4096));
  test.equal(once.hits, 1);
  test.same(await readOrError(client, 6_000_000, 4096), device.subarray(6_000_000, 6_004_096));
  test.ok(fetched(before) < layer.length, `${fetched(before)} bytes`);
  front.rules.clear();
  await client.disconnect();
  await second.stop(test);

  // What the cache has is used without the registry, and bytes that its disk has changed are not.
  const [data = ''] = (await findFiles(cache, [digest])).filter((path) => path.endsWith('.data'));
  const kept = readFileSync(data);
  kept.fill(7, HEADER + 6_000_000, HEADER + 6_000_100);
  writeFileSync(data, kept);
  await front.die();
  const third = await start();
  const offline = await openPatiently(third.unix);
  test.same(await readOrError(offline, healed, 4096), device.subarray(healed, healed + 4096));
  await front.revive();
  test.same(await readOrError(offline, 6_000_000, 4096), device.subarray(6_000_000, 6_004_096));
  await offline.disconnect();
  await third.stop(test);

  // A damaged record is none.
  await evict();
  const bytes = readFileSync(record);
  bytes[bytes.length - 20] = (bytes[bytes.length - 20] as number) ^ 1;
  writeFileSync(record, bytes);
  before = front.log.dataBytes();
  const last = await start();
  await (await openPatiently(last.unix)).disconnect();
  await last.stop(test);
  test.ok(fetched(before) >= layer.length, 'all of it is compared again');
  test.not(readFileSync(record).compare(bytes), 0, 'and has a record again');
  test.same(readdirSync(records).length, 1);
  // It reads all of it, with and without a record.
  await evict();
  before = front.log.dataBytes();
  const verified = await runDaemon(['verify', ...args]);
  test.equal(verified.code, 0, verified.stderr);
  test.ok(fetched(before) >= layer.length);
});
