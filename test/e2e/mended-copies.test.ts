// Decoded copies of layers whose bytes on disk are damaged: the daemon that reads one makes it right, for all that have it open.
import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { DaemonProcess, shortFolder } from '../support/daemon-process.js';
import { streamedFrame } from '../support/long-frame.js';
import { tick, type RawNbdClient } from '../support/nbd-client.js';
import { randomBytes } from '../support/pattern.js';
import { deviceOf, LAYER } from '../support/plain-image.js';
import { pushFiles } from '../support/registry/push-image.js';
import {
  openPatiently,
  readOrError,
  remoteImage,
  remoteOptions,
  REPOSITORY,
} from '../support/registry/remote-image.js';
import { writeUstar } from '../support/ustar.js';

t.setTimeout(600_000);

const noise = randomBytes(2, 3_000_000);
/** Zeros make the frame too long to be decoded for each read. */
const tar = writeUstar([{ name: 'file', bytes: Buffer.concat([noise, Buffer.alloc(66 << 20)]) }]);
const blob = streamedFrame([tar]);
const EIO = 5;

function copyIn(cache: string): string {
  const folder = join(cache, 'v1/layers');
  const names = readdirSync(folder).filter((name) => name.endsWith('.plain'));
  if (names.length !== 1) throw new Error(`copies: ${names.join(', ')}`);
  return join(folder, names[0] as string);
}

/** Changes a byte in each piece of 1 MiB of the noise. */
function damage(path: string): void {
  const bytes = readFileSync(path);
  for (let at = 500_000; at < noise.length; at += 1 << 20) bytes[at] = (bytes[at] as number) ^ 1;
  writeFileSync(path, bytes);
}

/** Until the read has other than an error: the next request is tried again. */
async function readAgain(client: RawNbdClient, offset: number): Promise<Buffer> {
  for (let tries = 0; tries < 1200; tries++) {
    const got = await readOrError(client, offset, 4096);
    if (typeof got !== 'number') return got;
    await tick(100);
  }
  throw new Error('it is not mended');
}

/** Has a daemon make the copy. @returns where `noise` begins on the device */
async function placeOfNoise(test: Test, args: string[]): Promise<number> {
  const daemon = await DaemonProcess.start(test, args);
  const client = await openPatiently(daemon.unix);
  const begin = (await deviceOf(client)).indexOf(noise);
  await client.disconnect();
  await daemon.stop(test);
  return begin;
}

async function isMended(test: Test, name: string, cache: string, options: string[]): Promise<void> {
  const args = [name, ...options];
  const begin = await placeOfNoise(test, args);

  const path = copyIn(cache);
  const [right, { ino }] = [readFileSync(path), statSync(path)];
  damage(path);
  // Both have the damaged copy open; one of them meets it.
  const [first, second] = [
    await DaemonProcess.start(test, args),
    await DaemonProcess.start(test, args),
  ];
  const [one, two] = [await openPatiently(first.unix), await openPatiently(second.unix)];
  const at = begin + 500_000;
  const expected = noise.subarray(500_000, 504_096);
  test.equal(await readOrError(one, at, 4096), EIO);
  await first.waitForLines(/decoded copy .*\.plain: its bytes are damaged: its layer is decoded/);
  await first.waitForLines(/decoded copy .*\.plain: it is mended/);
  test.same(await readAgain(one, at), expected);
  test.same(await readOrError(two, at, 4096), expected, 'another daemon does not notice');
  test.equal(second.lines(/damaged/).length, 0);
  test.ok(readFileSync(path).equals(right));
  test.equal(statSync(path).ino, ino, 'in place');
  test.equal(readdirSync(join(cache, 'v1/layers')).length, 2, 'a record and a copy');

  // The disk does not keep it.
  damage(path);
  const again = begin + 500_000 + (1 << 20);
  // What fails within some seconds may be of the time before.
  const isAgain = /decoded copy .*damaged again after it was mended: does its disk work/;
  for (let tries = 0; tries < 1200 && first.lines(isAgain).length === 0; tries++) {
    test.equal(await readOrError(one, again, 4096), EIO);
    await tick(100);
  }
  test.equal(first.lines(isAgain).length, 1);
  test.equal(first.lines(/its layer is decoded again/).length, 1, 'once');
  // The other one has not mended it yet. The file ends before its bytes.
  truncateSync(path, 1 << 20);
  test.equal(await readOrError(two, again, 4096), EIO);
  await second.waitForLines(/decoded copy .*\.plain: it is mended/);
  test.same(await readAgain(two, again), noise.subarray(again - begin, again - begin + 4096));
  test.ok(readFileSync(path).equals(right));
  for (const each of [one, two]) await each.disconnect();
  for (const each of [first, second]) await each.stop(test);
}

await t.test('of a layer of a registry', async (test) => {
  const { front, layout } = await remoteImage(test);
  await pushFiles(layout, 'long', [{ bytes: blob, mediaType: `${LAYER}+zstd` }]);
  const cache = join(shortFolder(test), 'cache');
  await isMended(test, front.name(REPOSITORY, 'long'), cache, remoteOptions([front], cache));
});

await t.test('of an image whose tag was moved', async (test) => {
  const { front, layout } = await remoteImage(test);
  await pushFiles(layout, 'long', [{ bytes: blob, mediaType: `${LAYER}+zstd` }]);
  const cache = join(shortFolder(test), 'cache');
  const args = [front.name(REPOSITORY, 'long'), ...remoteOptions([front], cache)];
  const begin = await placeOfNoise(test, args);
  const path = copyIn(cache);
  const right = readFileSync(path);
  damage(path);
  const next = await DaemonProcess.start(test, args);
  const other = writeUstar([{ name: 'other', bytes: randomBytes(3, 5000) }]);
  const reader = await openPatiently(next.unix);
  await pushFiles(layout, 'long', [{ bytes: other, mediaType: LAYER }]);
  const at = begin + 500_000;
  test.equal(await readOrError(reader, at, 4096), EIO);
  await next.waitForLines(/decoded copy .*\.plain: it is mended/);
  test.same(await readAgain(reader, at), noise.subarray(500_000, 504_096));
  test.ok(readFileSync(path).equals(right));
  await reader.disconnect();
  await next.stop(test);
});

await t.test('of a file', async (test) => {
  const folder = shortFolder(test);
  const [path, cache] = [join(folder, 'layer.tar.zst'), join(folder, 'cache')];
  writeFileSync(path, blob);
  await isMended(test, path, cache, ['--cache-dir', cache]);
});
