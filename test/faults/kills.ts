// kill -9 at random points of a cold read. Between the kill and the next start, chunks of the cache are zeroed, which is
// what a power loss does to data whose record is on the disk already: they must be fetched again.
import { closeSync, existsSync, openSync, readdirSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { DaemonProcess, shortFolder } from '../support/daemon-process.js';
import { RawNbdClient, tick } from '../support/nbd-client.js';
import { seededRandom } from '../support/pattern.js';
import { compare, remoteImage, remoteOptions } from '../support/registry/remote-image.js';
import type { FaultOptions } from './options.js';
import { RandomReads } from './random-reads.js';

const MIB = 1 << 20;
const CHUNK = 64 << 10;
/** Kills until the cache is emptied, so that most reads are cold. */
const KILLS_OF_A_CACHE = 5;

/** @param options `count`: how many kills */
export async function kills(t: Test, { count, seed }: FaultOptions): Promise<void> {
  const random = seededRandom(seed);
  const { front, files, name } = await remoteImage(t, { files: { size: 8 * MIB } });
  const cache = join(shortFolder(t), 'cache');
  const args = [name, ...remoteOptions([front], cache)];
  let right = 0;
  let zeroed = 0;
  for (let kill = 0; kill < count; kill++) {
    if (kill % KILLS_OF_A_CACHE === 0) rmSync(cache, { recursive: true, force: true });
    const daemon = await DaemonProcess.start(t, args);
    const reads = new RandomReads(files.device, seed + kill);
    const client = await RawNbdClient.open(daemon.unix);
    const going = reads.until(client, () => false);
    const last = random() % 40;
    while (reads.right < last && reads.wrong.length === 0 && !client.isOver) await tick(1);
    await tick(random() % 8);
    daemon.child.kill('SIGKILL');
    await Promise.all([daemon.exited(), going]);
    client.destroy();
    t.same([reads.wrong, reads.failed], [[], 0], `kill ${kill}, after ${reads.right} reads`);
    right += reads.right;
    zeroed += zeroChunks(cache, random);
  }
  const daemon = await DaemonProcess.start(t, args);
  const client = await RawNbdClient.open(daemon.unix);
  t.equal(await compare(client, files.device), null, 'all is right in the end');
  client.destroy();
  await daemon.stop(t);
  t.ok(right > 0, `${count} kills, ${right} reads, ${zeroed} chunks zeroed`);
}

/** Zeros one chunk of ten in each data file. @returns how many */
function zeroChunks(cache: string, random: () => number): number {
  const blobs = join(cache, 'v1', 'blobs', 'sha256');
  if (!existsSync(blobs)) return 0;
  let count = 0;
  for (const name of readdirSync(blobs, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.data')) continue;
    const path = join(blobs, name);
    const { size } = statSync(path);
    const fd = openSync(path, 'r+');
    for (let at = 0; at < size; at += CHUNK) {
      if (random() % 10 !== 0) continue;
      writeSync(fd, Buffer.alloc(Math.min(CHUNK, size - at)), 0, null, at);
      count++;
    }
    closeSync(fd);
  }
  return count;
}
