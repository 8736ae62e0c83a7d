// Ordinary images from a registry: bytes are checked against the digests of manifest and configuration, and against those
// that chunks had.
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { randomBytes } from '../support/pattern.js';
import {
  deviceOf,
  findFiles,
  gzip,
  LAYER,
  layers,
  linesOf,
  noise,
  some,
} from '../support/plain-image.js';
import { sha256 } from '../support/registry/image-place.js';
import { pushFiles, type FilesLayer } from '../support/registry/push-image.js';
import {
  openPatiently,
  readOrError,
  remoteImage,
  remoteOptions,
  REPOSITORY,
} from '../support/registry/remote-image.js';
import { writeUstar } from '../support/ustar.js';

t.setTimeout(600_000);

await t.test('chunks that come again are those that came first', async (test) => {
  const { front, layout } = await remoteImage(test);
  const tar = writeUstar([{ name: 'some', bytes: some }]);
  const big = writeUstar([{ name: 'noise', bytes: noise }]);
  const small = gzipSync(tar, { level: 1 });
  await pushFiles(layout, 'again', [
    { bytes: small, mediaType: `${LAYER}+gzip` },
    { bytes: big, mediaType: LAYER },
  ]);
  const cache = join(shortFolder(test), 'cache');
  const args = [front.name(REPOSITORY, 'again'), ...remoteOptions([front], cache)];
  const daemon = await DaemonProcess.start(test, args);
  const client = await openPatiently(daemon.unix);
  const device = await deviceOf(client);
  await client.disconnect();
  await daemon.stop(test);
  // The cache has given up the blobs, and the registry has other bytes than before.
  for (const path of await findFiles(cache, [small, big].map(sha256))) rmSync(path);
  const wrongAt = (blob: Buffer, at: number, times?: number) =>
    front.rule({
      match: { kind: 'data', reference: sha256(blob), covers: at },
      action: { do: 'corrupt', at },
      ...(times !== undefined && { times }),
    });
  const [inPlain, once, inGzip] = [2_000_000, 3_500_000, 200_000];
  const wrong = [wrongAt(big, inPlain), wrongAt(small, inGzip)];
  const healed = wrongAt(big, once, 1);
  const again = await DaemonProcess.start(test, args);
  const reader = await openPatiently(again.unix);
  const [noiseAt, someAt] = [device.indexOf(noise), device.indexOf(some)];
  test.equal(await readOrError(reader, noiseAt + inPlain, 4096), 5);
  await again.waitForLines(
    /@sha256:\w+: chunk 30 \(bytes 1966080-2031615\): expected SHA-256 \w{32}\.\.\. .*file "noise"/,
  );
  test.ok((wrong[0]?.hits ?? 0) >= 2, 'asked once more');
  test.equal(await readOrError(reader, someAt + inGzip, 4096), 5);
  await again.waitForLines(/chunk 3 \(bytes 196608-262143\): .*file "some"/);
  const place = noiseAt + once;
  test.same(await readOrError(reader, place, 4096), device.subarray(place, place + 4096));
  test.equal(healed.hits, 1);
  front.rules.clear();
  test.ok((await deviceOf(reader)).equals(device), 'the registry has the right bytes again');
  await reader.disconnect();
  await again.stop(test);
});

await t.test('images that are not what their digests say, beside one that is', async (test) => {
  const { front, layout, files } = await remoteImage(test);
  const [first] = layers as [FilesLayer];
  const wrongPlain = { ...first, diffId: sha256(Buffer.from('other')) };
  await pushFiles(layout, 'plain', [wrongPlain]);
  // The registry has other bytes than those of the digest: as many, and those of a good archive.
  const right = gzipSync(writeUstar([{ name: 'a', bytes: randomBytes(7, 900_000) }]), { level: 0 });
  const wrong = gzipSync(writeUstar([{ name: 'a', bytes: randomBytes(8, 900_000) }]), { level: 0 });
  test.equal(wrong.length, right.length);
  await pushFiles(layout, 'blob', [{ bytes: right, mediaType: `${LAYER}+gzip` }]);
  const path = layout.blob(sha256(right))?.path as string;
  writeFileSync(path, wrong);
  const folder = shortFolder(test);
  const exports = {
    plain: front.name(REPOSITORY, 'plain'),
    blob: front.name(REPOSITORY, 'blob'),
    good: front.name(REPOSITORY, 'app'),
  };
  const config = join(folder, 'daemon.json');
  writeFileSync(config, JSON.stringify({ exports }));
  const options = ['--config', config, ...remoteOptions([front], join(folder, 'cache'))];
  const daemon = await DaemonProcess.start(test, options);
  const good = await openPatiently(daemon.unix, 'good');
  test.same(await good.read(0, 4096), files.device.subarray(0, 4096));
  await good.disconnect();
  await daemon.waitForLines(
    /export "plain" is not served: .*it unpacks to bytes with the digest sha256:\w+, and the configuration of the image says sha256:/,
  );
  await daemon.waitForLines(
    new RegExp(
      `export "blob" is not served: .*: expected digest ${sha256(right)}, got ${sha256(wrong)} `,
    ),
  );
  // The wrong bytes are not kept: the image opens as soon as the registry has the right ones.
  writeFileSync(path, right);
  const client = await openPatiently(daemon.unix, 'blob');
  test.same(
    linesOf(await deviceOf(client)).map((line) => line.path),
    ['/', '/a'],
  );
  await client.disconnect();
  await daemon.stop(test);
});

await t.test('a wrong byte on the way is fetched again', async (test) => {
  const { front, layout } = await remoteImage(test);
  await pushFiles(layout, 'app', layers.slice(0, 1));
  const at = 2_000_000;
  const match = { kind: 'data', reference: sha256(gzip), covers: at } as const;
  const corrupt = front.rule({ match, action: { do: 'corrupt', at }, times: 1 });
  const options = remoteOptions([front], join(shortFolder(test), 'cache'));
  const listed = await runDaemon(['ls', front.name(REPOSITORY, 'app'), ...options]);
  test.equal(listed.code, 0, listed.stderr);
  test.match(listed.stdout, /noise/);
  test.equal(corrupt.hits, 1);
});
