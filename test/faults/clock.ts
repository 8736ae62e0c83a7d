// The clock of the machine is set an hour ahead and an hour back while images are read with tokens.
import { existsSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { DaemonProcess, shortFolder } from '../support/daemon-process.js';
import { RawNbdClient } from '../support/nbd-client.js';
import { compare, remoteImage, remoteOptions } from '../support/registry/remote-image.js';
import type { FaultOptions } from './options.js';
import { RandomReads } from './random-reads.js';

const MIB = 1 << 20;
const MACHINE = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
const FAKETIME = `/usr/lib/${MACHINE}-linux-gnu/faketime/libfaketimeMT.so.1`;
const CLOCKS = ['+0', '+1h', '+0', '-1h', '+0'];

/** @param options `count`: how many reads with each clock */
export async function clock(t: Test, { count, seed }: FaultOptions): Promise<void> {
  if (!existsSync(FAKETIME)) {
    console.error(`${t.fullname}: NOT TESTED, not installed: faketime`);
    t.pass('faketime', { skip: 'NOT TESTED, not installed: faketime' });
    return;
  }
  const { front, files, name } = await remoteImage(t, {
    files: { size: 16 * MIB },
    front: { auth: { scheme: 'bearer', anonymous: true, ttl: 300 } },
  });
  const folder = shortFolder(t);
  const now = join(folder, 'clock');
  const set = (text: string): void => {
    writeFileSync(`${now}.new`, `${text}\n`);
    renameSync(`${now}.new`, now);
  };
  set('+0');
  const args = [name, ...remoteOptions([front], join(folder, 'cache'))];
  const daemon = await DaemonProcess.start(t, args, {
    variables: {
      LD_PRELOAD: FAKETIME,
      FAKETIME_TIMESTAMP_FILE: now,
      FAKETIME_NO_CACHE: '1',
      // The monotonic clock is not one that can be set.
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    },
  });
  // The library leaves these behind, and refuses to work in another process with this pid.
  t.teardown(() => {
    for (const each of ['faketime_shm', 'sem.faketime_sem']) {
      rmSync(`/dev/shm/${each}_${daemon.child.pid}`, { force: true });
    }
  });
  const client = await RawNbdClient.open(daemon.unix);
  for (const [i, text] of CLOCKS.entries()) {
    set(text);
    const reads = new RandomReads(files.device, seed + i);
    let done = 0;
    await reads.until(client, () => done++ >= count);
    t.same([reads.wrong, reads.failed], [[], 0], `clock ${text}`);
  }
  t.equal(await compare(client, files.device), null);
  t.ok((front.tokens?.issued ?? 0) <= 2, 'tokens are used to their end by the monotonic clock');
  t.equal(front.log.duplicateBytes(), 0);
  client.destroy();
  await daemon.stop(t);
}
