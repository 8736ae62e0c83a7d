// Ordinary images from a registry: plain archives, and those in gzip and zstd, are read once as a whole, and after that as
// they are needed.
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import { CHUNK_SIZE } from '../../daemon/blob/chunk-map.js';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import {
  deviceOf,
  expected,
  findFiles,
  gzip,
  isGood,
  layers,
  noise,
  READ_WHOLE,
} from '../support/plain-image.js';
import { sha256 } from '../support/registry/image-place.js';
import { pushFiles } from '../support/registry/push-image.js';
import {
  openPatiently,
  remoteImage,
  remoteOptions,
  REPOSITORY,
} from '../support/registry/remote-image.js';
import { writeUstar } from '../support/ustar.js';

t.setTimeout(600_000);

await t.test('all kinds of layers: read once, and after that as they are needed', async (test) => {
  const { front, layout } = await remoteImage(test);
  await pushFiles(layout, 'app', layers);
  const cache = join(shortFolder(test), 'cache');
  const options = remoteOptions([front], cache, 5);
  const name = front.name(REPOSITORY, 'app');
  const daemon = await DaemonProcess.start(test, [name, ...options]);
  await isGood(test, daemon);
  const fetched = layers.reduce((sum, { bytes }) => sum + bytes.length, 0);
  test.ok(front.log.dataBytes() < fetched + 20 * CHUNK_SIZE, `${front.log.dataBytes()} bytes`);
  test.same(front.log.violations(), []);

  // It opens again without the registry.
  daemon.child.kill('SIGKILL');
  await daemon.exited();
  await front.die();
  const again = await DaemonProcess.start(test, [name, ...options]);
  await isGood(test, again);
  const listed = await runDaemon(['cache', 'ls', '--json', '--cache-dir', cache]);
  const entries = JSON.parse(listed.stdout) as { digest: string; what: string; isUsed: boolean }[];
  const records = entries.filter(({ what }) => what === 'record');
  test.equal(records.length, READ_WHOLE);
  test.ok(records.every(({ isUsed }) => isUsed));
  await again.stop(test);
  await front.revive();

  // Another machine, or an evicted cache: a record is enough to read only what is needed.
  const digest = sha256(gzip);
  const blobs = entries.filter(({ what }) => what === 'blob').map((each) => each.digest);
  await runDaemon(['cache', 'verify', '--cache-dir', cache]);
  for (const path of await findFiles(cache, blobs)) rmSync(path);
  const before = front.log.dataBytes();
  const ls = await runDaemon(['ls', name, ...options]);
  test.equal(ls.code, 0, ls.stderr);
  test.same(
    ls.stdout.trim().split('\n'),
    [...expected.keys()].map((each) => each.slice(1)),
  );
  const lazily = front.log.dataBytes() - before;
  test.ok(lazily < fetched / 4, `${lazily} bytes of ${fetched}`);

  // Without its record the layer is read again; a damaged record is none.
  const path = join(cache, 'v1/layers', `${digest.slice('sha256:'.length)}.layer`);
  const record = readFileSync(path);
  record[record.length >>> 1] = (record[record.length >>> 1] as number) ^ 1;
  writeFileSync(path, record);
  const checked = await runDaemon(['cache', 'verify', '--cache-dir', cache]);
  test.equal(checked.code, 1);
  test.match(checked.stdout, new RegExp(`${digest}: 1 record checked: 1 wrong record, removed`));
  test.equal(existsSync(path), false);
  const mended = await runDaemon(['cat', name, 'noise', ...options]);
  test.equal(mended.code, 0, mended.stderr);
  test.equal(existsSync(path), true);
  const removed = await runDaemon(['cache', 'rm', digest, '--cache-dir', cache]);
  test.equal(removed.code, 0, removed.stderr);
  test.equal(existsSync(path), false);
});

await t.test('warm keeps all that an opening needs', async (test) => {
  const { front, layout } = await remoteImage(test);
  await pushFiles(layout, 'app', layers);
  const options = remoteOptions([front], join(shortFolder(test), 'cache'), 5);
  const name = front.name(REPOSITORY, 'app');
  const warmed = await runDaemon(['warm', name, ...options]);
  test.equal(warmed.code, 0, warmed.stderr);
  const fetched = layers.reduce((sum, { bytes }) => sum + bytes.length, 0);
  test.ok(front.log.dataBytes() < fetched + CHUNK_SIZE, 'the opening found all of it in the cache');
  // A cache that is too small for the layers has room for their records.
  const cache = join(shortFolder(test), 'cache');
  const lists = ['ls', name, ...remoteOptions([front], cache), '--cache-size', '3M'];
  const once = await runDaemon(lists);
  test.equal(once.code, 0, once.stderr);
  const before = front.log.dataBytes();
  test.equal((await runDaemon(lists)).stdout, once.stdout);
  test.ok(front.log.dataBytes() - before < gzip.length / 4);
  await front.die();
  const daemon = await DaemonProcess.start(test, [name, ...options]);
  await isGood(test, daemon);
  await daemon.stop(test);
});

await t.test('a file on this machine is read once, too, until it changes', async (test) => {
  const folder = shortFolder(test);
  const cache = join(folder, 'cache');
  const path = join(folder, 'layer.tar.gz');
  writeFileSync(path, gzip);
  const options = ['--cache-dir', cache];
  const recordNames = (): string[] => readdirSync(join(cache, 'v1/layers'));
  for (let i = 0; i < 2; i++) {
    const daemon = await DaemonProcess.start(test, [path, ...options]);
    const client = await openPatiently(daemon.unix);
    test.ok((await deviceOf(client)).includes(noise));
    await client.disconnect();
    await daemon.stop(test);
    test.equal(recordNames().length, 1);
  }
  writeFileSync(path, gzipSync(writeUstar([{ name: 'other', bytes: noise }]), { level: 1 }));
  const ls = await runDaemon(['ls', path, ...options]);
  test.equal(ls.stdout, 'other\n', ls.stderr);
  test.equal(recordNames().length, 2);
});
