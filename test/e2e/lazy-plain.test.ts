// Ordinary images from a registry: plain archives, and those in gzip and zstd, are read once as a whole, checked against the
// digests of manifest and configuration, and served.
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { compress } from 'zstd-napi';
import t, { type Test } from 'tap';
import { CHUNK_SIZE } from '../../daemon/blob/chunk-map.js';
import { askRaw, socketOf, waitForControl } from '../support/control.js';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { detachByRecord } from '../support/detach-by-record.js';
import { readErofs } from '../support/erofs/reader.js';
import { treeLines, type TreeLine } from '../support/erofs/tree-lines.js';
import { writeEstargz } from '../support/estargz-writer.js';
import { RawNbdClient } from '../support/nbd-client.js';
import { randomBytes, textBytes } from '../support/pattern.js';
import { sha256 } from '../support/registry/image-place.js';
import { pushFiles, type FilesLayer } from '../support/registry/push-image.js';
import {
  openPatiently,
  readOrError,
  remoteImage,
  remoteOptions,
  REPOSITORY,
} from '../support/registry/remote-image.js';
import { listenAsManager } from '../support/service-manager.js';
import { until } from '../support/until.js';
import { writeUstar } from '../support/ustar.js';

t.setTimeout(600_000);

const LAYER = 'application/vnd.oci.image.layer.v1.tar';
const TOC_DIGEST = 'containerd.io/snapshot/stargz/toc.digest';

const noise = randomBytes(1, 5_000_000);
const words = textBytes(2, 3_000_000);
const some = randomBytes(3, 400_000);

const gzipped = writeUstar([
  { name: 'noise', bytes: noise },
  { name: 'replaced', bytes: some },
]);
const framed = writeUstar([{ name: 'words', bytes: words }]);
const estargz = writeEstargz([{ entry: { name: 'pieces', type: 'reg' }, bytes: some }], {
  form: 'eStargz',
  pieceSize: 100_000,
});
const half = (bytes: Buffer): Buffer[] => [
  bytes.subarray(0, bytes.length / 2),
  bytes.subarray(bytes.length / 2),
];
const gzip = Buffer.concat(half(gzipped).map((each) => gzipSync(each, { level: 1 })));
const zstd = Buffer.concat(half(framed).map((each) => compress(each)));
const plain = writeUstar([{ name: 'replaced', bytes: Buffer.from('new\n') }]);

const layers: FilesLayer[] = [
  { bytes: gzip, mediaType: `${LAYER}+gzip` },
  { bytes: zstd, mediaType: `${LAYER}+zstd` },
  {
    bytes: estargz.blob,
    mediaType: `${LAYER}+gzip`,
    annotations: { [TOC_DIGEST]: estargz.digest },
  },
  { bytes: plain, mediaType: LAYER },
];
const expected = new Map<string, Buffer>([
  ['/noise', noise],
  ['/pieces', some],
  ['/replaced', Buffer.from('new\n')],
  ['/words', words],
]);

/** Reads all of a device. */
async function deviceOf(client: RawNbdClient): Promise<Buffer> {
  const begin = await client.read(0, 4096);
  // The superblock has the number of blocks.
  const size = 4096 * begin.readUInt32LE(1024 + 36);
  const parts: Buffer[] = [];
  for (let at = 0; at < size; at += 1 << 20) {
    parts.push(await client.read(at, Math.min(1 << 20, size - at)));
  }
  return Buffer.concat(parts);
}

function linesOf(device: Buffer): TreeLine[] {
  return treeLines(readErofs((at, n) => device.subarray(at, at + n), device.length).entries);
}

async function isGood(test: Test, daemon: DaemonProcess, name = ''): Promise<void> {
  const client = await openPatiently(daemon.unix, name);
  const device = await deviceOf(client);
  await client.disconnect();
  const files = linesOf(device).filter(({ type }) => type === 'reg');
  test.same(
    files.map(({ path, size }) => [path, size]),
    [...expected].map(([path, bytes]) => [path, bytes.length]),
  );
  for (const [path, bytes] of expected) test.ok(device.includes(bytes), path);
}

const READ_WHOLE = layers.filter(({ annotations }) => !annotations).length;

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

await t.test('how far an opening is, while others go on', async (test) => {
  const { front, layout, files } = await remoteImage(test, { front: { bytesPerSecond: 1 << 20 } });
  await pushFiles(layout, 'slow', layers.slice(0, 1));
  await pushFiles(
    layout,
    'slower',
    [0, 3].map((i) => layers[i] as FilesLayer),
  );
  const other = await remoteImage(test);
  await pushFiles(other.layout, 'fast', layers.slice(1, 2));
  // Neither in its begin nor in its end, which are read first.
  const match = { kind: 'data', reference: sha256(gzip), covers: gzip.length - 600_000 } as const;
  const stalled = front.rule({ match, action: { do: 'stall' } });
  const folder = shortFolder(test);
  const [state, name] = [join(folder, 'state'), front.name(REPOSITORY, 'slow')];
  const options = remoteOptions([front, other.front], join(folder, 'cache'));
  const good = `good=${front.name(REPOSITORY, 'app')}`;
  const daemon = await DaemonProcess.start(test, ['-e', good, '--state', state, ...options]);
  const adding = runDaemon(['exports', 'add', 'slow', name, '--state', state]);
  const slower = front.name(REPOSITORY, 'slower');
  const addingSlower = runDaemon(['exports', 'add', 'slower', slower, '--state', state]);
  await daemon.waitForLines(/test\/app:slow: layer 1 of 1 is being read: \d+ % of/);
  await daemon.waitForLines(/test\/app:slower: layer \d of 2 is being read: \d+ % of/);
  // Two images of one registry wait for it; one of another registry does not wait for these.
  const fast = other.front.name(REPOSITORY, 'fast');
  const third = await runDaemon(['exports', 'add', 'fast', fast, '--state', state]);
  test.equal(third.code, 0, third.stderr);
  const { stdout } = await runDaemon(['status', '--state', state]);
  test.match(
    stdout,
    /^opening \S*test\/app:slow: layer 1 of 1 is being read: \d+ % of [\d.]+ MiB$/m,
  );
  const client = await RawNbdClient.open(daemon.unix, 'good');
  test.same(await client.read(0, 4096), files.device.subarray(0, 4096));
  await client.disconnect();
  stalled.release();
  for (const added of await Promise.all([adding, addingSlower])) {
    test.equal(added.code, 0, added.stderr);
  }
  const after = await runDaemon(['status', '--state', state]);
  test.notMatch(after.stdout, /^opening /m);
  await daemon.stop(test);
});

await t.test(
  'the only image of a daemon: status, manager and SIGTERM before it is open',
  async (test) => {
    const { front, layout } = await remoteImage(test, { front: { bytesPerSecond: 1 << 20 } });
    await pushFiles(layout, 'slow', layers.slice(0, 1));
    const match = { kind: 'data', reference: sha256(gzip), covers: gzip.length - 600_000 } as const;
    const stalled = front.rule({ match, action: { do: 'stall' } });
    const folder = shortFolder(test);
    const state = join(folder, 'state');
    const manager = await listenAsManager(test, join(folder, 'notify'));
    const args = [front.name(REPOSITORY, 'slow'), '--state', state];
    const options = { variables: { NOTIFY_SOCKET: join(folder, 'notify') } };
    const all = [...args, ...remoteOptions([front], join(folder, 'cache'))];
    const daemon = DaemonProcess.launch(test, all, options);
    await daemon.waitForLines(/test\/app:slow: layer 1 of 1 is being read/);
    await waitForControl(socketOf(state));
    const image = String.raw`\S*test/app:slow`;
    const { stdout, code } = await runDaemon(['status', '--state', state]);
    test.equal(code, 0);
    test.match(stdout, /^export "": the daemon is starting: its image is being opened, since /m);
    test.match(stdout, new RegExp(`^opening ${image}: layer 1 of 1 is being read: \\d+ % of`, 'm'));
    await detachByRecord(test, state);
    const refused = await askRaw(socketOf(state), { method: 'POST', path: '/v1/reload' });
    test.match(refused, { code: 409, body: /"BUSY"[^]*the daemon is starting/ });
    if (manager) {
      const { received } = manager;
      const extended = new RegExp(
        `^EXTEND_TIMEOUT_USEC=150000000\nSTATUS=opening ${image}: layer 1`,
      );
      await until(() => received.some((each) => extended.test(each)));
      test.notOk(received.some((each) => each.startsWith('READY')));
    }
    await daemon.stop(test);
    test.notOk(existsSync(socketOf(state)));
    if (manager) await until(() => manager.received.includes('STOPPING=1'));
    stalled.release();
  },
);

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
    /@sha256:\w+: chunk 30 \(bytes 1966080-2031615\): its SHA-256 begins with \w{32}, and with .*file "noise"/,
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

/** The files of blobs. */
async function findFiles(cache: string, digests: readonly string[]): Promise<string[]> {
  const files = await readdir(join(cache, 'v1/blobs'), { recursive: true, withFileTypes: true });
  const isOf = (name: string): boolean =>
    digests.some((digest) => name.startsWith(digest.slice('sha256:'.length)));
  return files
    .filter((file) => file.isFile() && isOf(file.name))
    .map(({ parentPath, name }) => join(parentPath, name));
}

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
      `export "blob" is not served: .*have the digest ${sha256(wrong)}, and not ${sha256(right)}`,
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
