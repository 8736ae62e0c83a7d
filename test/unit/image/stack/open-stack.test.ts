// How often a blob is read while its image is opened: with the fingerprint, from the command line to the merged index.
// The results are tested in open.test.ts and ../inspect.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { FileSource } from '../../../../daemon/blob/file-source.js';
import { inspectImage } from '../../../../daemon/inspect/inspect-image.js';
import { openDevice } from '../../../support/in-process.js';
import { writeLsmt } from '../../../support/lsmt-writer.js';
import { randomBytes, textBytes } from '../../../support/pattern.js';
import { wrapTar } from '../../../support/tar-writer.js';
import { writeZfile } from '../../../support/zfile-writer.js';

const SECTOR = 512;

/** A layer of this many segments of this many sectors; every second one compresses. */
function layer(segments: number, length = 8): Buffer {
  return writeLsmt({
    virtualSize: segments * 2 * length * SECTOR,
    segments: Array.from({ length: segments }, (_, i) => ({
      offset: 2 * i * length,
      length,
      data: i % 2 === 0 ? randomBytes(i, length * SECTOR) : textBytes(i, length * SECTOR),
    })),
  });
}

/** Runs `work` and returns the ranges of files that were read; a read that is repeated after load() counts once. */
async function readsOf(t: Test, work: () => Promise<unknown>): Promise<string[]> {
  const reads: string[] = [];
  const read: FileSource['read'] = Reflect.get(FileSource.prototype, 'read');
  FileSource.prototype.read = function (this: FileSource, offset, length, dst, at) {
    const isDone = read.call(this, offset, length, dst, at);
    if (isDone) reads.push(`${offset}+${length}`);
    return isDone;
  };
  t.teardown(() => {
    FileSource.prototype.read = read;
  });
  try {
    await work();
  } finally {
    FileSource.prototype.read = read;
  }
  return reads;
}

async function serve(path: string): Promise<void> {
  (await openDevice(path)).close();
}

const small = layer(20);
const large = layer(1500);
const cases: [name: string, blob: Buffer, most: number][] = [
  ['a small lz4 layer', writeZfile(small), 1],
  ['a small plain layer', small, 1],
  ['an lz4 layer', writeZfile(large), 2],
  ['a zstd layer with a trailer', writeZfile(large, { algorithm: 'zstd', mode: 'trailer' }), 2],
  ['an lz4 layer in a tar', wrapTar(writeZfile(large), { pax: true }), 2],
  ['blocks of 64 KiB', writeZfile(large, { blockSize: 65_536 }), 3],
  ['a jump table longer than the tail', writeZfile(large, { blockSize: 512 }), 3],
  ['a plain layer', large, 2],
  ['a raw disk image', randomBytes(1, 1 << 20), 2],
];

for (const [name, blob, most] of cases) {
  await test(name, async (t) => {
    const path = join(t.testdir(), 'blob');
    writeFileSync(path, blob);
    const served = await readsOf(t, () => serve(path));
    t.ok(served.length <= most, `serve: ${served.join(' ')}`);
    const inspected = await readsOf(t, () => inspectImage([path], false));
    t.ok(inspected.length <= most, `inspect: ${inspected.join(' ')}`);
  });
}
