// A cache that is much smaller than the image, under load: chunks are evicted while they are read.
import { join } from 'node:path';
import type { Test } from 'tap';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { RawNbdClient } from '../support/nbd-client.js';
import type { PushedImage } from '../support/registry/push-image.js';
import { remoteImage, remoteOptions, type RemoteImage } from '../support/registry/remote-image.js';
import { mustRun } from '../support/tools.js';
import type { FaultOptions } from './options.js';
import { RandomReads } from './random-reads.js';

const CLIENTS = 4;

/** Parts of the image: hardly more than what is pinned while it is open; and so much that chunks come and go. */
const CACHES = [0.02, 0.3];

/** Of the image that comes and goes, in the scenario with a complete one. */
const BESIDE = 0.3;

/**
 * Over a Unix socket whole sectors of a layer that is not compressed go by splice, all else by copies.
 * @param options `count`: how many reads of each client
 */
export async function eviction(t: Test, { count, seed, size }: FaultOptions): Promise<void> {
  for (const compressed of [true, false]) {
    const remote = await remoteImage(t, {
      files: { size, seed: compressed ? 1 : 100, compressed },
    });
    for (const part of CACHES) await underLoad(t, remote, part, { count, seed, size });
  }
  await besideComplete(t, { count, seed, size });
}

/**
 * A complete image, which goes by splice, beside one that is larger than what is left of the cache: nothing of the
 * complete one is evicted while it is open.
 */
async function besideComplete(t: Test, { count, seed, size }: FaultOptions): Promise<void> {
  const [complete, large] = [
    await remoteImage(t, { files: { size, seed: 200, compressed: false } }),
    await remoteImage(t, { files: { size, seed: 300, compressed: false } }),
  ];
  const limit = Math.round((bytesOf(complete.image) + bytesOf(large.image) * BESIDE) / 0.8);
  const options = [
    ...remoteOptions([complete.front, large.front], join(shortFolder(t), 'cache')),
    '--cache-size',
    `${limit}`,
  ];
  const warmed = await runDaemon(['warm', complete.name, ...options]);
  t.equal(warmed.code, 0, warmed.stderr);
  const exports = ['-e', `complete=${complete.name}`, '-e', `large=${large.name}`];
  const daemon = await DaemonProcess.start(t, [...exports, ...options, '--threads', '2']);
  const reads = [complete, large].map(({ files }, i) => new RandomReads(files.device, seed + i));
  await Promise.all(
    reads.map(async (each, i) => {
      const client = await RawNbdClient.open(daemon.unix, i === 0 ? 'complete' : 'large');
      let done = 0;
      await each.until(client, () => done++ >= count || each.wrong.length > 0);
      client.destroy();
    }),
  );
  t.same(
    reads.map(({ wrong, failed }) => [wrong, failed]),
    [
      [[], 0],
      [[], 0],
    ],
  );
  t.equal(complete.front.log.duplicateBytes(), 0, 'no byte of the complete one was fetched again');
  await daemon.stop(t);
}

function bytesOf({ layers }: PushedImage): number {
  return layers.reduce((sum, layer) => sum + layer.size, 0);
}

async function underLoad(
  t: Test,
  { front, files, name, image }: RemoteImage,
  part: number,
  { count, seed }: FaultOptions,
): Promise<void> {
  front.log.clear();
  const cache = join(shortFolder(t), 'cache');
  const limit = Math.round(bytesOf(image) * part);
  const options = [...remoteOptions([front], cache), '--cache-size', `${limit}`];
  const daemon = await DaemonProcess.start(t, [name, ...options, '--threads', '4']);
  const reads = Array.from({ length: CLIENTS }, (_, i) => new RandomReads(files.device, seed + i));
  await Promise.all(
    reads.map(async (each) => {
      const client = await RawNbdClient.open(daemon.unix);
      let done = 0;
      await each.until(client, () => done++ >= count || each.wrong.length > 0);
      client.destroy();
    }),
  );
  const wrong = reads.flatMap((each) => each.wrong);
  const failed = reads.reduce((sum, each) => sum + each.failed, 0);
  const used = Number.parseInt(await mustRun('du', ['-s', '--block-size=1', cache]), 10);
  const fetched = front.log.dataBytes();
  t.same([wrong, failed], [[], 0], `limit ${limit}: ${fetched} bytes fetched, ${used} on the disk`);
  t.ok(fetched > limit, 'more than the cache can have');
  await daemon.stop(t);
}
