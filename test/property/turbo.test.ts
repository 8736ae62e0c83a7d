// Random stacks of layers as turboOCI and overlaybd have them: opened as `serve` does, read back through the merged disk by the
// independent reader of EROFS, and compared with the same layers merged and written without any format.
import * as fc from 'fast-check';
import { mkdirSync, rmSync } from 'node:fs';
import tap, { test } from 'tap';
import { arbitraryLayers } from '../support/arbitrary-trees.js';
import { checkEntries, directly } from '../support/forms/directly.js';
import { writeTurboForm, type TurboOptions } from '../support/forms/turbo-form.js';
import { withDevice } from '../support/in-process.js';
import { usualOrLong } from '../support/long-tests.js';
import { SEED } from '../support/seed.js';
import { withoutRefused } from '../support/tree-model.js';

// Random cases: on a busy machine tap's 30 seconds a file are too short.
tap.setTimeout(900_000);

const RUNS = usualOrLong(400, 4000);

const options: fc.Arbitrary<TurboOptions> = fc.record({
  target: fc.constantFrom('none', 'tar', 'tar', 'tar.gz', 'tar.gz', 'tar.gz'),
  wrapper: fc.record({
    zfile: fc.option(
      fc.record({
        algorithm: fc.constantFrom('lz4' as const, 'zstd' as const),
        blockSize: fc.constantFrom(4096, 65_536),
        verify: fc.boolean(),
        mode: fc.constantFrom('header' as const, 'trailer' as const),
      }),
    ),
    tar: fc.constantFrom('none' as const, 'ustar' as const, 'pax' as const),
  }),
  sparseForm: fc.nat(3),
  memberSize: fc.constantFrom(700, 3000, 50_000, Infinity),
  spanSize: fc.constantFrom(300, 5000, 1 << 20),
  atMembers: fc.boolean(),
  longest: fc.constantFrom(1, 3, 100_000),
});

const cases = fc.record({
  layers: arbitraryLayers(3, 16),
  options: fc.tuple(options, options, options),
});

await test('any stack of layers is the same with its contents in archives', async (t) => {
  const folder = t.testdir();
  const counts: Record<TurboOptions['target'], number> = { none: 0, tar: 0, 'tar.gz': 0 };
  let entries = 0;
  await fc.assert(
    fc.asyncProperty(cases, async (each) => {
      const layers = withoutRefused(each.layers);
      mkdirSync(folder, { recursive: true });
      const config = await writeTurboForm(folder, layers, each.options);
      const want = directly(layers);
      await withDevice([config], ({ device }) => checkEntries(device, want));
      rmSync(folder, { recursive: true });
      for (const { target } of each.options.slice(0, layers.length)) counts[target]++;
      entries += want.length;
    }),
    { numRuns: RUNS, seed: SEED },
  );
  t.comment(`${RUNS} stacks, ${entries} entries: ${JSON.stringify(counts)}`);
  t.ok(entries > 5 * RUNS, 'the trees are not trivial');
  for (const [target, count] of Object.entries(counts)) t.ok(count > RUNS / 8, target);
});
