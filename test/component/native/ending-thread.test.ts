// Threads that are terminated while they load the addon, or while it throws: only the thread ends.
import { once } from 'node:events';
import { closeSync, existsSync, fstatSync, openSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import { CODEC_ZSTD, codecs } from '../../../daemon/native/block-decoder.js';
import { encodeBlock } from '../../support/encode-block.js';
import { usualOrLong } from '../../support/long-tests.js';
import { textBytes } from '../../support/pattern.js';

const ADDON =
  process.env['OVERLAYBD_NBD_ADDON'] ??
  fileURLToPath(new URL('../../../../native/build/Release/overlaybd_nbd.node', import.meta.url));

/** A thread that did not do what it is for exits with it. */
const FAILED = 9;

/** How many of them; the long form comes to each several times. At every second one the thread is online first. */
const MOMENTS = 20;

/** Terminates such a thread at many moments, the later ones further apart. A crash would end this process. */
async function endAtManyMoments(
  code: string,
  count: number,
  workerData: unknown = ADDON,
): Promise<number> {
  let ended = 0;
  for (let i = 0; i < count; i++) {
    const worker = new Worker(code, { eval: true, workerData });
    worker.on('error', () => undefined);
    const exit = once(worker, 'exit');
    if (i % 2 === 0) await once(worker, 'online');
    // Loading the addon takes a few milliseconds: most moments should be within them.
    await pause((i % MOMENTS) / 2);
    await worker.terminate();
    const [status] = (await exit) as [number];
    if (status !== FAILED) ended++;
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
const [a, b] = native.sockets.pair();
const poll = new native.poll.Poll(a, () => { throw new Error('from the loop'); });
process.on('uncaughtException', () => undefined);
poll.start(3);
const spin = () => {
  for (let i = 0; i < 1000; i++) {
    try { native.sockets.recv('no number', null); } catch {}
    try { new native.poll.Poll(-1, null); } catch {}
    try { native.sockets.listenTcp(1, 2, 3); } catch {}
  }
  setImmediate(spin);
};
spin();
`;

await t.test('threads that end while they load the addon', async (test) => {
  const count = usualOrLong(MOMENTS, 3 * MOMENTS);
  test.equal(await endAtManyMoments(LOAD, count), count);
});

await t.test('threads that end while the addon throws', async (test) => {
  const count = usualOrLong(MOMENTS, 2 * MOMENTS);
  test.equal(await endAtManyMoments(BUSY, count), count);
});

/**
 * Closes a file in the turn in which the thread learns that it is open. The thread is terminated in that turn, in
 * native code, so that the turn ends normally.
 */
const CLOSE = `
const { parentPort, workerData } = require('node:worker_threads');
const native = require(workerData);
const much = Buffer.alloc(32 << 20);
let opened;
const file = new Promise((resolve) => { opened = resolve; });
native.files.onJobEnd((job, fd) => opened(fd));
void file.then((fd) => {
  native.files.close(fd);
  parentPort.postMessage(fd);
  native.crc32c.crc32c(much, 0, much.length, 0);
});
native.files.startOpen(1, '/etc/passwd');
`;

await t.test('a thread that ends when a file is opened: it is closed once', async (test) => {
  for (let i = 0; i < usualOrLong(8, 20); i++) {
    const worker = new Worker(CLOSE, { eval: true, workerData: ADDON });
    const [fd] = (await once(worker, 'message')) as [number];
    while (existsSync(`/proc/self/fd/${fd}`));
    // From here on the test owns the number.
    const ours: number[] = [];
    while (ours.at(-1) !== fd && ours.length < 256) ours.push(openSync('/dev/null', 'r'));
    await worker.terminate();
    await pause(20);
    test.ok(fstatSync(fd).isCharacterDevice(), `descriptor ${fd} is open`);
    for (const each of ours) closeSync(each);
  }
});

/** The pool decodes for a thread that ends meanwhile: the memory stays until that is done. */
const DECODING = `
const { addon, stored, length } = require('node:worker_threads').workerData;
const native = require(addon);
const CODEC_ZSTD = 1;
const decode = async () => {
  for (let i = 0; ; i++) {
    const plain = await native.codecs.decodeElsewhere(CODEC_ZSTD, stored, length, i % 2);
    if (plain?.length !== length) throw new Error('not decoded');
  }
};
for (let i = 0; i < 8; i++) decode().catch(() => process.exit(${FAILED}));
`;

const skip = codecs.version(CODEC_ZSTD) === '' ? 'no libzstd on this machine' : false;
await t.test('threads that end while the pool decodes for them', { skip }, async (test) => {
  const plain = textBytes(1, 2 << 20);
  const stored = encodeBlock('zstd', plain);
  const data = { addon: ADDON, stored, length: plain.length };
  const decoded = await codecs.decodeElsewhere(CODEC_ZSTD, stored, plain.length, 0);
  test.ok(decoded && plain.equals(decoded), 'the frame is one that can be decoded');
  const count = usualOrLong(MOMENTS, 2 * MOMENTS);
  test.equal(await endAtManyMoments(DECODING, count, data), count);
});
