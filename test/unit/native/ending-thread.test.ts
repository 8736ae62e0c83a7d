// Threads that are ended while they load the addon, or while it reports mistakes: that ends the thread alone.
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import t from 'tap';

const ADDON =
  process.env['OVERLAYBD_NBD_ADDON'] ??
  fileURLToPath(new URL('../../../../native/build/Release/overlaybd_nbd.node', import.meta.url));

/** Ends such a thread at many moments, the later ones further apart. A crash would end this process. */
async function endAtManyMoments(code: string, count: number): Promise<number> {
  let ended = 0;
  for (let i = 0; i < count; i++) {
    const worker = new Worker(code, { eval: true, workerData: ADDON });
    worker.on('error', () => undefined);
    const exit = once(worker, 'exit');
    if (i % 2 === 0) await once(worker, 'online');
    // The addon is loaded within some milliseconds: most of them should hit that.
    await pause((i % 20) / 2);
    await worker.terminate();
    await exit;
    ended++;
  }
  return ended;
}

const LOAD = `
const { workerData } = require('node:worker_threads');
require(workerData);
`;

/** Every call throws, or makes an object whose callbacks come from the loop. */
const BUSY = `
const native = require(require('node:worker_threads').workerData);
const [a, b] = native.socketpair();
const poll = new native.Poll(a, () => { throw new Error('from the loop'); });
process.on('uncaughtException', () => undefined);
poll.start(3);
const spin = () => {
  for (let i = 0; i < 1000; i++) {
    try { native.recv('no number', null); } catch {}
    try { new native.Poll(-1, null); } catch {}
    try { native.listenTcp(1, 2, 3); } catch {}
  }
  setImmediate(spin);
};
spin();
`;

await t.test('while they load it', async (test) => {
  test.equal(await endAtManyMoments(LOAD, 150), 150);
});

await t.test('while it throws', async (test) => {
  test.equal(await endAtManyMoments(BUSY, 60), 60);
});
