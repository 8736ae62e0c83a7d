// Traces of the reference implementation: the acceleration layer of an image, and files. What they name is fetched
// before it is read, later than every read; what is wrong with them is one line in the log.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { DaemonProcess, shortFolder } from '../support/daemon-process.js';
import { ext4Image } from '../support/ext4-image.js';
import { SECTOR } from '../support/lsmt-layout.js';
import { writeLsmt, type LsmtSegment } from '../support/lsmt-writer.js';
import { RawNbdClient } from '../support/nbd-client.js';
import { randomBytes } from '../support/pattern.js';
import type { FaultFront } from '../support/registry/fault-front.js';
import {
  compare,
  pushedImage,
  remoteImage,
  remoteOptions,
} from '../support/registry/remote-image.js';
import { wrapTar } from '../support/tar-writer.js';
import { requireTool } from '../support/tools.js';
import { wholeLayer, writeUpstreamTrace } from '../support/upstream-trace.js';
import { writeZfile } from '../support/zfile-writer.js';

t.setTimeout(170_000);

const MIB = 1 << 20;
/** Of plain bytes of each of the layers that layer-files.ts makes: all but their indexes. */
const PLAIN = [4 * MIB, MIB, 600 << 10];
/** Files of an ext4 disk. */
const [WANTED, OTHER] = [randomBytes(5, 600_000), randomBytes(6, 6 * MIB)];
const EVERYTHING = writeUpstreamTrace(PLAIN.flatMap((size, layer) => wholeLayer(layer, size)));

const start = (test: Test, front: FaultFront, ...args: string[]): Promise<DaemonProcess> =>
  DaemonProcess.start(test, [...args, ...remoteOptions([front], join(shortFolder(test), 'c'))]);

await t.test('the acceleration layer is replayed, and never stacked', async (test) => {
  const { front, files, name, image } = await remoteImage(test, { image: { trace: EVERYTHING } });
  const daemon = await start(test, front, name);
  const [line = ''] = await daemon.waitForLines(/trace of /);
  test.match(line, /chunks of it are in the cache$/);
  await front.die();
  const client = await RawNbdClient.open(daemon.unix);
  test.equal(await compare(client, files.device), null, 'all is here');
  client.destroy();
  test.equal(front.log.duplicateBytes(), 0);
  const digest = image.layers.at(-1)?.digest ?? '';
  test.equal(front.log.filter({ kind: 'blob', reference: digest, status: 206 }).length, 1);
  await daemon.stop(test);
});

await t.test('nothing else is fetched, and nothing when offline or already here', async (test) => {
  const trace = writeUpstreamTrace([{ layer: 0, offset: 2 * MIB, count: 4096 }]);
  const { front, name, image } = await remoteImage(test, { image: { trace } });
  const cache = join(shortFolder(test), 'cache');
  const options = remoteOptions([front], cache);
  const daemon = await DaemonProcess.start(test, [name, ...options]);
  await daemon.waitForLines(/trace of .*: [12] chunks? of it are in the cache/);
  const all = image.layers.reduce((sum, { size }) => sum + size, 0);
  test.ok(front.log.dataBytes() < all / 2, `${front.log.dataBytes()} of ${all} bytes`);
  await daemon.stop(test);
  const before = front.log.dataBytes();
  const again = await DaemonProcess.start(test, [name, ...options]);
  await again.waitForLines(/trace of .* in the cache/);
  await again.stop(test);
  const offline = await DaemonProcess.start(test, [name, ...options, '--offline']);
  await offline.stop(test);
  test.same(offline.lines(/trace/), []);
  test.equal(front.log.dataBytes(), before);
});

await t.test('a file, for the one image that is open', async (test) => {
  const { front, files, name } = await remoteImage(test);
  const path = join(shortFolder(test), 'trace');
  writeFileSync(path, EVERYTHING);
  const daemon = await start(test, front, name, '--replay-trace', path);
  await daemon.waitForLines(/trace: .*chunks of it are in the cache/);
  await front.die();
  const client = await RawNbdClient.open(daemon.unix);
  test.equal(await compare(client, files.device), null, 'all is here');
  client.destroy();
  await daemon.stop(test);
});

await t.test('a trace that does not come delays nothing', async (test) => {
  const { front, files, name, image } = await remoteImage(test, { image: { trace: EVERYTHING } });
  const reference = image.layers.at(-1)?.digest ?? '';
  const stalled = front.rule({ match: { kind: 'data', reference }, action: { do: 'stall' } });
  const daemon = await start(test, front, name);
  const client = await RawNbdClient.open(daemon.unix);
  await front.log.waitFor((request) => request.reference === reference);
  test.equal(await compare(client, files.device), null);
  test.same(daemon.lines(/trace of/), []);
  stalled.release();
  await daemon.waitForLines(/trace of .* in the cache/);
  client.destroy();
  await daemon.stop(test);
});

await t.test('a list of paths: the files that it names, and no others', async (test) => {
  if (!requireTool(test, 'mke2fs')) return;
  const folder = shortFolder(test);
  const disk = await twoFiles(folder);
  const trace = Buffer.from('/not/there\n/wanted/*\n');
  const { front, name, image } = await pushedImage(test, layersOf(folder, disk), { trace });
  const daemon = await start(test, front, name);
  const [line] = await daemon.waitForLines(/trace of /);
  test.match(line, /: \d+ chunks of 2 paths are in the cache; 1 of 2 paths is not there$/);
  const before = front.log.dataBytes();
  const all = image.layers.reduce((sum, { size }) => sum + size, 0);
  test.ok(before < all / 2, `${before} of ${all} bytes`);
  await front.die();
  const client = await RawNbdClient.open(daemon.unix);
  const [begin, end] = placeOf(disk, WANTED);
  test.equal(await compare(client, disk, begin, end), null, 'all of the file is here');
  client.destroy();
  await daemon.stop(test);
});

const wrongSum = Buffer.from(EVERYTHING);
wrongSum.writeUInt8(wrongSum.readUInt8(40) ^ 1, 40);

/** An ext4 disk with a file that is wanted, in a folder, and another one. */
async function twoFiles(folder: string): Promise<Buffer> {
  const tree = join(folder, 'tree');
  mkdirSync(join(tree, 'wanted'), { recursive: true });
  writeFileSync(join(tree, 'wanted', 'file'), WANTED);
  writeFileSync(join(tree, 'other'), OTHER);
  return ext4Image(tree, join(folder, 'disk'), { size: '16M' });
}

/** Two layers: all of the disk, and half of it once more. @returns their paths */
function layersOf(folder: string, disk: Buffer): string[] {
  const sectors = disk.length / SECTOR;
  const data = (offset: number, length: number): LsmtSegment => {
    return { offset, length, data: disk.subarray(offset * SECTOR, (offset + length) * SECTOR) };
  };
  const layers = [data(0, sectors), data(sectors / 4, sectors / 2)];
  return layers.map((segment, i) => {
    const path = join(folder, `layer${i}`);
    const blob = writeLsmt({ virtualSize: disk.length, segments: [segment] });
    writeFileSync(path, wrapTar(writeZfile(blob, { mode: 'header' }), { pax: true }));
    return path;
  });
}

/** Where a disk has the bytes of a file whose blocks follow each other. */
function placeOf(disk: Buffer, file: Buffer): [number, number] {
  const begin = disk.indexOf(file);
  if (begin < 0) throw new Error('the file is not in one piece');
  return [begin, begin + file.length];
}

for (const [what, trace, line] of [
  ['a wrong checksum', wrongSum, /not replayed: .*sha256:.*trace header at byte 16/],
  ['noise', Buffer.from('\u001b[2Jnothing'), /not replayed: .*trace header at byte 0/],
  ['a list of paths', Buffer.from('/etc/passwd\n'), /not replayed: .*for ext4 only/],
  [
    '5 MiB',
    Buffer.alloc(5 * MIB),
    /not replayed: .*5244416 bytes of an acceleration layer, at most/,
  ],
  ['nothing', Buffer.alloc(0), /trace of .*: empty/],
  [
    'layers that are not there',
    writeUpstreamTrace([{ layer: 7, offset: 0, count: 5 }]),
    /0 chunks of it are in the cache; 1 read of other layers left out/,
  ],
] as const) {
  await t.test(`a trace of ${what} is one line in the log`, async (test) => {
    const { front, files, name } = await remoteImage(test, { image: { trace } });
    const daemon = await start(test, front, name);
    await daemon.waitForLines(line);
    const client = await RawNbdClient.open(daemon.unix);
    test.equal(await compare(client, files.device), null);
    client.destroy();
    await daemon.stop(test);
    test.equal(daemon.lines(/trace of/).length, 1);
    test.notMatch(daemon.log, '\u001b');
  });
}
