// How often a blob is read while its image is opened: with the fingerprint, from the command line to the merged index. What the
// layers take of the heap together.
// The results are tested in open.test.ts and ../inspect.
import { symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { test, type Test } from 'tap';
import { UNBOUNDED } from '../../../../daemon/lib/effort.js';
import { HeapBudget } from '../../../../daemon/lib/heap-budget.js';
import { ReaderFactory } from '../../../../daemon/image/disks/reader-factory.js';
import { BlobPool } from '../../../../daemon/image/plan/blob-pool.js';
import { sourceOfWords } from '../../../../daemon/image/plan/image-source.js';
import { planImage } from '../../../../daemon/image/plan/plan.js';
import { ImageBlobs } from '../../../../daemon/image/plan/image-blobs.js';
import { openStack } from '../../../../daemon/image/stack/open-stack.js';
import { throwProblem } from '../../../../daemon/errors.js';
import { openImage } from '../../../../daemon/image/stack/open.js';
import { noImages } from '../../../../daemon/registry/remote.js';
import { FileSource } from '../../../../daemon/blob/file-source.js';
import { inspectImage } from '../../../../daemon/inspect/inspect-image.js';
import { openDevice, withDevice } from '../../../support/in-process.js';
import { writeEstargz, type TocFile } from '../../../support/estargz-writer.js';
import { writeLsmt } from '../../../support/lsmt-writer.js';
import { randomBytes, textBytes } from '../../../support/pattern.js';
import { ImageLayout } from '../../../support/registry/image-layout.js';
import { sha256 } from '../../../support/registry/image-place.js';
import { OCI } from '../../../support/registry/media-types.js';
import { pushFiles } from '../../../support/registry/push-image.js';
import { wrapTar } from '../../../support/tar-writer.js';
import { writeUstar } from '../../../support/ustar.js';
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

const DEVICE_BYTES = 56;
const LINK_BYTES = 280;

function numbered(count: number, entry: (i: number) => TocFile['entry']): TocFile[] {
  return Array.from({ length: count }, (_, i) => ({ entry: entry(i) }));
}

/** A layer with so many devices, and hard links, which take memory only while the layer is read. */
function hostile(devices: number, links: number): Buffer {
  return writeEstargz(
    [
      { entry: { name: 'f', type: 'reg' } },
      ...numbered(devices, (i) => ({ name: `d${i}`, type: 'char', devMajor: 1, devMinor: 2 })),
      ...numbered(links, (i) => ({ name: `l${i}`, type: 'hardlink', linkName: 'f' })),
    ],
    { form: 'eStargz' },
  ).blob;
}

async function openWithHeap(paths: readonly string[], bytes: number): Promise<string> {
  const readers = new ReaderFactory();
  const pool = new BlobPool(readers);
  const heap = new HeapBudget(bytes);
  const image = await openImage(sourceOfWords(paths), {
    pool,
    readers,
    remote: noImages,
    records: null,
    effort: { ...UNBOUNDED, heap },
    strict: false,
  });
  for (const blob of image.blobs) blob.release();
  return image.description;
}

await test('the layer that is being read shares the heap with those that are open', async (t) => {
  const folder = t.testdir();
  const [devices, links] = [1000, 100];
  const layers: [devices: number, links: number][] = [
    [devices, links],
    [devices + 1, links],
    [1, links],
  ];
  const paths = layers.map((counts, i) => {
    const path = join(folder, `layer${i}`);
    writeFileSync(path, hostile(...counts));
    return path;
  });
  const [first = '', second = '', third = ''] = paths;
  const most = 2 * devices * DEVICE_BYTES + links * (LINK_BYTES + 20);
  t.match(await openWithHeap([first, first], most), /^2 layers of files/);
  const each = most - 1000 * DEVICE_BYTES + 500;
  t.match(await openWithHeap([second, third], each), /^2 layers/, 'links are given back');
  t.match(await openWithHeap([first], each), /^1 layer of files/);
  t.match(await openWithHeap([second], each), /^1 layer of files/);
  await t.rejects(openWithHeap([first, second], each), {
    code: 'LIMIT',
    message: `${second}: hard links, devices and different sets of extended attributes of all layers take more than ${each} bytes of memory`,
  });
});

await test('a layer that cannot be opened gives back what it has counted', async (t) => {
  const path = join(t.testdir(), 'layer');
  writeFileSync(path, hostile(1000, 100));
  const readers = new ReaderFactory();
  const files = new ImageBlobs(new BlobPool(readers));
  t.teardown(() => files.release());
  const most = 1000 * DEVICE_BYTES;
  const heap = new HeapBudget(most);
  const plan = await planImage(sourceOfWords([path]).blobs, files);
  const tools = { readers, effort: { ...UNBOUNDED, heap }, records: null, sink: throwProblem };
  const opening = openStack(plan, { ...tools, files, mayBeUpper: false });
  await t.rejects(opening, { code: 'LIMIT' });
  t.ok(heap.take(most), 'all of it is free');
});

await test('layers that cannot be merged are given back before they are opened again', async (t) => {
  const path = join(t.testdir(), 'layer');
  writeFileSync(path, writeLsmt({ virtualSize: 0, segments: [] }));
  let kept = 0;
  const keptAt: number[] = [];
  class Pool extends BlobPool {
    override async open(...args: Parameters<BlobPool['open']>): ReturnType<BlobPool['open']> {
      const blob = await super.open(...args);
      return {
        ...blob,
        content: (effort, sink) => {
          keptAt.push(kept);
          effort.keep(1000, path);
          return blob.content(effort, sink);
        },
        refetch: () => {
          keptAt.length = 0;
          return Promise.resolve(true);
        },
      };
    }
  }
  const readers = new ReaderFactory();
  const opening = openImage(sourceOfWords([path]), {
    pool: new Pool(readers),
    readers,
    remote: noImages,
    records: null,
    effort: { ...UNBOUNDED, keep: (bytes) => void (kept += bytes) },
    strict: false,
  });
  await t.rejects(opening, { code: 'BAD_FORMAT', message: /no layer gives a virtual size/ });
  t.equal(keptAt[0], 0, 'when they were opened again');
});

await test('a layer of a layout whose name leads to another layer is not taken for it', async (t) => {
  // More than are opened at the same time: the last is opened when the first is known.
  const archives = [1, 2, 3, 4, 5].map((seed) =>
    writeUstar([{ name: `file${seed}`, bytes: randomBytes(seed, 5000) }]),
  );
  for (const form of ['tar', 'tar.gz']) {
    const layers = form === 'tar' ? archives : archives.map((each) => gzipSync(each));
    const layout = new ImageLayout(join(t.testdir(), 'layout'));
    await pushFiles(
      layout,
      'app',
      layers.map((bytes) => ({ bytes, mediaType: OCI.layer })),
    );
    const name = `oci:${layout.folder}:app`;
    await withDevice([name], ({ device }) => t.ok(device.size > 0, form));
    const paths = layers.map((bytes) => layout.blob(sha256(bytes))?.path as string);
    const [first, last] = [paths[0] as string, paths.at(-1) as string];
    t.equal(layers[0]?.length, layers.at(-1)?.length, 'the size does not tell');
    unlinkSync(last);
    symlinkSync(first, last);
    await t.rejects(
      withDevice([name], () => undefined),
      { code: 'BAD_CHECKSUM', message: /expected digest/ },
      form,
    );
  }
});
