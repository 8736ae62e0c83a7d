// Decoded copies of files on this machine, in a cache with a limit.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import tap, { test } from 'tap';
import { leastBetween, sizesIn } from '../support/bytes-on-disk.js';
import { DaemonProcess, shortFolder } from '../support/daemon-process.js';
import { streamedFrame } from '../support/long-frame.js';
import { randomBytes } from '../support/pattern.js';
import { openPatiently } from '../support/registry/remote-image.js';
import { writeUstar } from '../support/ustar.js';

tap.setTimeout(300_000);

const MIB = 1 << 20;

await test('chunks make room for copies of two files that are opened at the same time', async (t) => {
  const folder = shortFolder(t);
  const cache = join(folder, 'cache');
  const limit = 24 * MIB;
  const images = [1, 2].map((seed) => {
    const path = join(folder, `${seed}.tar.zst`);
    const bytes = Buffer.concat([randomBytes(seed, 4 * MIB), Buffer.alloc(66 * MIB)]);
    writeFileSync(path, streamedFrame([writeUstar([{ name: 'file', bytes }])]));
    return path;
  });
  // A blob of an image that is not open any more.
  const unused = randomBytes(3, 20 * MIB);
  const digits = createHash('sha256').update(unused).digest('hex');
  const blob = join(cache, 'v1/blobs/sha256', digits.slice(0, 2), `${digits}.blob`);
  mkdirSync(dirname(blob), { recursive: true, mode: 0o700 });
  writeFileSync(blob, unused, { mode: 0o600 });
  const exports = images.flatMap((path, i) => ['-e', `e${i}=${path}`]);
  const options = ['--cache-dir', cache, '--cache-size', `${limit}`, '--cache-min-free', '0'];
  const daemon = await DaemonProcess.start(t, [...exports, ...options]);
  let most = 0;
  let last = sizesIn(cache);
  const look = (): void => {
    const sizes = sizesIn(cache);
    most = Math.max(most, leastBetween(last, sizes));
    last = sizes;
  };
  const timer = setInterval(look, 5);
  try {
    for (const name of ['e0', 'e1']) await (await openPatiently(daemon.unix, name)).disconnect();
  } finally {
    clearInterval(timer);
  }
  t.notOk(existsSync(blob));
  // Nothing changes any more.
  look();
  look();
  t.ok(most <= limit, `${most} bytes of ${limit}`);
  const copies = readdirSync(join(cache, 'v1/layers')).filter((name) => name.endsWith('.plain'));
  t.equal(copies.length, 2);
  await daemon.stop(t);
});
