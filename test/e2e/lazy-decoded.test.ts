// What a daemon decodes for several connections, as its metrics show it.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { DaemonProcess, shortFolder } from '../support/daemon-process.js';
import { writeEstargz } from '../support/estargz-writer.js';
import { metricOf, readMetrics } from '../support/metrics-reader.js';
import { RawNbdClient } from '../support/nbd-client.js';
import { textBytes } from '../support/pattern.js';
import { readOrError } from '../support/registry/remote-image.js';

t.setTimeout(600_000);

const MIB = 1 << 20;
const PIECE = 4 * MIB;

async function opened(daemon: DaemonProcess): Promise<{ client: RawNbdClient; size: number }> {
  const client = await RawNbdClient.connect(daemon.unix);
  await client.handshake();
  const { size } = await client.go('');
  return { client, size };
}

await t.test('connections on two threads: a piece is decoded once', async (test) => {
  const bytes = textBytes(3, 2 * PIECE);
  const file = { entry: { name: 'file', type: 'reg', mode: 0o644 }, bytes };
  const { blob } = writeEstargz([file], { form: 'eStargz', pieceSize: PIECE });
  const folder = shortFolder(test);
  const [layer, path] = [join(folder, 'layer.esgz'), join(folder, 'm.sock')];
  writeFileSync(layer, blob);
  const options = ['--threads', '2', '--metrics-listen', `unix://${path}`];
  const daemon = await DaemonProcess.start(test, [layer, ...options]);
  // A connection each: the second one starts the second thread.
  const one = await opened(daemon);
  const clients = [one.client, (await opened(daemon)).client];
  const before = await readMetrics(path);
  test.equal(metricOf(before, 'obd_decoded_misses_total'), 0);
  // The file is the last thing on the device.
  const begin = one.size - bytes.length;
  for (let round = 0; round < 3; round++) {
    const offset = begin + round * MIB;
    for (const client of clients) {
      const expected = bytes.subarray(round * MIB, round * MIB + 4096);
      test.same(await readOrError(client, offset, 4096), expected);
    }
  }
  const after = await readMetrics(path);
  test.equal(metricOf(after, 'obd_decoded_misses_total'), 1);
  test.equal(metricOf(after, 'obd_decode_seconds_count{codec="gzip"}'), 1);
  test.equal(metricOf(after, 'obd_decoded_hits_total'), 6);
  test.equal(metricOf(after, 'obd_decoded_bytes'), PIECE);
  test.notMatch(after, 'obd_digest_failures_total{');
  for (const client of clients) client.destroy();
  await daemon.stop(test);
});

await t.test('a digest that does not match is counted by the format', async (test) => {
  const bytes = textBytes(3, PIECE);
  const file = { entry: { name: 'file', type: 'reg', mode: 0o644 }, bytes };
  const wrong = `sha256:${'0'.repeat(64)}`;
  const { blob } = writeEstargz([file], {
    form: 'zstd:chunked',
    change: (toc) => {
      for (const entry of toc.entries) if (entry['chunkDigest']) entry['chunkDigest'] = wrong;
      return toc;
    },
  });
  const folder = shortFolder(test);
  const [layer, path] = [join(folder, 'layer.zst'), join(folder, 'm.sock')];
  writeFileSync(layer, blob);
  const daemon = await DaemonProcess.start(test, [layer, '--metrics-listen', `unix://${path}`]);
  const { client, size } = await opened(daemon);
  test.equal(await readOrError(client, size - bytes.length, 4096), 5);
  const body = await readMetrics(path);
  test.equal(metricOf(body, 'obd_digest_failures_total{format="zstd:chunked"}'), 1);
  client.destroy();
  await daemon.stop(test);
});
