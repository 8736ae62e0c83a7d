// Random trees as EROFS images on several devices: opened as `serve` does, read back through the merged disk by the independent
// reader of EROFS, and compared with the same tree written without any format.
import * as fc from 'fast-check';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import tap, { test } from 'tap';
import { arbitraryLayers } from '../support/arbitrary-trees.js';
import { writeDevicesForm, type DevicesOptions } from '../support/forms/devices-form.js';
import { checkEntries, directly } from '../support/forms/directly.js';
import { filesOf } from '../support/forms/tree-files.js';
import { withDevice } from '../support/in-process.js';
import { usualOrLong } from '../support/long-tests.js';
import { SEED } from '../support/seed.js';
import { withoutRefused } from '../support/tree-model.js';

// Random cases: on a busy machine tap's 30 seconds a file are too short.
tap.setTimeout(900_000);

const RUNS = usualOrLong(400, 4000);

const options: fc.Arbitrary<DevicesOptions> = fc.record({
  blockSize: fc.constantFrom(512, 4096),
  inline: fc.constantFrom(0, 5000),
  devices: fc.constantFrom('archive' as const, 1, 2, 3, 7),
  isTagged: fc.boolean(),
  isPlaced: fc.boolean(),
  chunkBits: fc.constantFrom(0, 1, 4, 31),
  padding: fc.constantFrom(0, 1, 10_240),
  seed: fc.nat(2 ** 31),
});

const cases = fc.record({ layers: arbitraryLayers(1, 24), options });

await test('any tree is the same with its contents on further devices', async (t) => {
  const folder = t.testdir();
  const counts = new Map<DevicesOptions['devices'], number>();
  let entries = 0;
  await fc.assert(
    fc.asyncProperty(cases, async (each) => {
      const want = directly(withoutRefused(each.layers));
      const { image, devices } = writeDevicesForm(filesOf(want), each.options);
      const blobs = join(folder, 'devices');
      mkdirSync(blobs, { recursive: true });
      writeFileSync(join(folder, 'image'), image);
      for (const [name, bytes] of devices) writeFileSync(join(blobs, name), bytes);
      await withDevice([join(folder, 'image')], ({ device }) => checkEntries(device, want), {
        blobs,
      });
      rmSync(blobs, { recursive: true });
      counts.set(each.options.devices, (counts.get(each.options.devices) ?? 0) + 1);
      entries += want.length;
    }),
    { numRuns: RUNS, seed: SEED },
  );
  t.comment(`${RUNS} trees, ${entries} entries: ${JSON.stringify(Object.fromEntries(counts))}`);
  t.ok(entries > 5 * RUNS, 'the trees are not trivial');
  t.equal(counts.size, 5);
});
