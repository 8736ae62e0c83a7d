// Random trees as images of RAFS: opened as `serve` does, read back through the merged disk by the independent reader of
// EROFS, and compared with the same trees written as EROFS directly.
import * as fc from 'fast-check';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import tap, { test } from 'tap';
import { writeErofs } from '../../daemon/erofs/write.js';
import { mergeLayers } from '../../daemon/tree/merge.js';
import { arbitraryLayers, SOURCE_SIZE } from '../support/arbitrary-trees.js';
import { fallsTo, openDescriptors } from '../support/descriptors.js';
import { deviceOf } from '../support/erofs/device.js';
import { readErofs } from '../support/erofs/reader.js';
import { comparable, filesOf } from '../support/forms/tree-files.js';
import { holds } from '../support/holds.js';
import { healthyRafs, hostileRafs, rafsMustBeHandled } from '../support/hostile-rafs.js';
import { readRange, withDevice } from '../support/in-process.js';
import { usualOrLong } from '../support/long-tests.js';
import { randomBytes } from '../support/pattern.js';
import { shareChunks } from '../support/rafs-shared-writer.js';
import { writeRafs, type RafsOptions } from '../support/rafs-writer.js';
import { SEED } from '../support/seed.js';
import { withoutRefused } from '../support/tree-model.js';
import { treeOf } from '../support/trees.js';

// Random cases: on a busy machine tap's 30 seconds a file are too short.
tap.setTimeout(900_000);

const RUNS = usualOrLong(320, 800);
/** One has zeros, which may be holes, and repeats itself: files share chunks. */
const SOURCES = [
  randomBytes(1, SOURCE_SIZE),
  Buffer.alloc(SOURCE_SIZE, Buffer.concat([Buffer.alloc(8192), randomBytes(2, 8192)])),
];

const arbitraryOptions: fc.Arbitrary<RafsOptions> = fc.record({
  codec: fc.constantFrom('none' as const, 'lz4' as const, 'gzip' as const, 'zstd' as const),
  hash: fc.constantFrom('blake3' as const, 'sha256' as const),
  chunkSize: fc.constantFrom(4096, 8192, 1 << 20),
  blobs: fc.constantFrom(1, 2, 5),
  holes: fc.boolean(),
  compact: fc.boolean(),
});

const codecs = ['lz4', 'gzip', 'zstd'] as const;
const arbitraryShared = fc.option(
  fc.record({
    shared: fc.constantFrom('zran' as const, 'batch' as const),
    codec: fc.constantFrom(...codecs),
    infoCodec: fc.constantFrom('none' as const, ...codecs),
    spanSize: fc.constantFrom(1, 10_000, 100_000),
    memberSize: fc.constantFrom(5000, Infinity),
    perBatch: fc.constantFrom(1, 3, 100),
    isKept: fc.boolean(),
  }),
  { freq: 2 },
);

await test('any tree is the same as RAFS', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'overlaybd-nbd-rafs-'));
  let entries = 0;
  let several = 0;
  let sharing = 0;
  try {
    await fc.assert(
      fc.asyncProperty(
        arbitraryLayers(1, 24),
        arbitraryOptions,
        arbitraryShared,
        async (layers, options, shared) => {
          const [layer = []] = withoutRefused(layers);
          const direct = writeErofs(mergeLayers([treeOf(layer)]), { uuidSeed: [] });
          const written = readErofs(deviceOf(direct, SOURCES), direct.deviceSize).entries;
          const made = writeRafs(
            filesOf(written),
            shared ? { ...options, codec: 'none' } : options,
          );
          const { bootstrap, blobs } = shared ? await shareChunks(made, shared) : made;
          for (const [id, bytes] of blobs) writeFileSync(join(folder, id), bytes);
          const boot = join(folder, 'image.boot');
          writeFileSync(boot, bootstrap);
          await withDevice(
            [boot],
            async ({ device }) => {
              const bytes = await readRange(device, 0, device.size);
              const back = readErofs((at, n) => bytes.subarray(at, at + n), device.size).entries;
              const [got, want] = [comparable(back), comparable(written)];
              if (!isDeepStrictEqual(got, want)) {
                throw new Error(`${JSON.stringify(got)} is not ${JSON.stringify(want)}`);
              }
            },
            { blobs: folder },
          );
          for (const id of blobs.keys()) rmSync(join(folder, id));
          entries += written.length;
          if (shared) sharing++;
          else if (blobs.size > 1) several++;
        },
      ),
      { numRuns: RUNS, seed: SEED },
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
  t.comment(
    `${RUNS} trees: ${entries} entries, ${several} of several blobs, ${sharing} with chunks that share`,
  );
  t.ok(entries > 5 * RUNS, 'the trees are not trivial');
  t.ok(several > RUNS / 8);
  t.ok(sharing > RUNS / 4);
});

await test('damaged images never crash', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'overlaybd-nbd-rafs-'));
  try {
    const before = openDescriptors();
    await holds(
      t,
      fc.asyncProperty(hostileRafs, (hostile) => rafsMustBeHandled(folder, hostile)),
      { numRuns: usualOrLong(160, 400) },
    );
    t.ok(await fallsTo(before), 'no descriptor stays open');
    for (const [form, { bootstrap, blobs }] of Object.entries(healthyRafs)) {
      for (const [id, bytes] of blobs) writeFileSync(join(folder, id), bytes);
      const boot = join(folder, 'image.boot');
      writeFileSync(boot, bootstrap);
      await withDevice([boot], ({ device }) => readRange(device, 0, device.size), {
        blobs: folder,
      });
      t.pass(`${form} is healthy`);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
