// A cache of 2 % of the image, under load: chunks are evicted while they are read.
import { join } from 'node:path';
import type { Test } from 'tap';
import { DaemonProcess, shortFolder } from '../support/daemon-process.js';
import { RawNbdClient } from '../support/nbd-client.js';
import { remoteImage, remoteOptions } from '../support/registry/remote-image.js';
import { mustRun } from '../support/tools.js';
import type { FaultOptions } from './options.js';
import { RandomReads } from './random-reads.js';

const MIB = 1 << 20;
const CLIENTS = 4;

/**
 * Over a Unix socket whole sectors of a layer that is not compressed go by splice, all else by copies.
 * @param options `count`: how many reads of each client
 */
export async function eviction(t: Test, { count, seed }: FaultOptions): Promise<void> {
  for (const compressed of [true, false]) {
    const { front, files, name, image } = await remoteImage(t, {
      files: { size: 48 * MIB, seed: compressed ? 1 : 100, compressed },
    });
    const cache = join(shortFolder(t), 'cache');
    const total = image.layers.reduce((sum, { size }) => sum + size, 0);
    const limit = Math.round(total / 50);
    const options = [...remoteOptions([front], cache, 60), '--cache-size', `${limit}`];
    const daemon = await DaemonProcess.start(t, [name, ...options, '--threads', '4']);
    const reads = Array.from(
      { length: CLIENTS },
      (_, i) => new RandomReads(files.device, seed + i),
    );
    await Promise.all(
      reads.map(async (each) => {
        const client = await RawNbdClient.open(daemon.unix);
        let done = 0;
        await each.until(client, () => done++ >= count || each.wrong.length > 0);
        client.destroy();
      }),
    );
    const path = compressed ? 'copies' : 'splice';
    t.same(
      reads.flatMap(({ wrong }) => wrong),
      [],
      path,
    );
    const failed = reads.reduce((sum, each) => sum + each.failed, 0);
    t.equal(failed, 0, `${path}: no read has failed`);
    const fetched = front.log.dataBytes();
    t.ok(fetched > 2 * limit, `${path}: ${fetched} bytes fetched by way of ${limit}`);
    const used = Number.parseInt(await mustRun('du', ['-s', '--block-size=1', cache]), 10);
    t.comment(`${path}: the cache has ${used} bytes, its limit is ${limit}`);
    await daemon.stop(t);
  }
}
