// Damaged file systems: whatever their bytes are, a list of paths ends, with ranges of the device or an error of ours.
import { join } from 'node:path';
import * as fc from 'fast-check';
import t from 'tap';
import { ext4Folder, ext4Image } from '../../support/ext4-image.js';
import { holds } from '../../support/holds.js';
import {
  HEALTHY,
  HEALTHY_PATHS,
  ext4MustBeHandled,
  hostileExt4,
  writeHostileExt4,
} from '../../support/hostile-ext4.js';
import { usualOrLong } from '../../support/long-tests.js';
import { SEED } from '../../support/seed.js';
import { requireTool } from '../../support/tools.js';

fc.configureGlobal({ seed: SEED });
t.setTimeout(900_000);

await t.test('the healthy one is read', async (test) => {
  const found = await ext4MustBeHandled(HEALTHY);
  test.match(found, { missing: 0, damaged: 0, damage: null });
  const blocks = (found?.ranges ?? []).map(({ offset, length }) => [offset / 1024, length / 1024]);
  const expected = [
    [200, 4],
    [210, 5],
    [230, 10],
    [300, 2],
    [303, 2],
    [310, 4],
    [400, 1],
    [500, 2],
    [510, 1],
  ];
  test.same(
    blocks.toSorted(([a = 0], [b = 0]) => a - b),
    expected,
  );
});

await t.test('numbers that are replaced', async (test) => {
  const bytes = Buffer.alloc(HEALTHY.length);
  const property = fc.asyncProperty(hostileExt4, async (changes) => {
    await ext4MustBeHandled(writeHostileExt4(changes, bytes));
  });
  await holds(test, property, { numRuns: usualOrLong(150, 300) });
});

await t.test('an image that is cut anywhere', async (test) => {
  for (let length = 0; length < HEALTHY.length; length += 1021 * 16) {
    await ext4MustBeHandled(HEALTHY.subarray(0, length));
  }
  test.equal(await ext4MustBeHandled(HEALTHY.subarray(0, 2047)), null);
});

await t.test('noise in what mke2fs has made', async (test) => {
  if (!requireTool(test, 'mke2fs', 'e2fsck')) return;
  const parent = test.testdir();
  const folder = ext4Folder(parent);
  const options = { args: ['-b', '1024', '-O', 'inline_data', '-I', '256'], hashTrees: true };
  const image = await ext4Image(folder, join(parent, 'image'), options);
  const used: number[] = [];
  for (let at = 0; at < 1 << 20; at++) if (image[at] !== 0) used.push(at);
  const place = fc.nat(used.length - 1).map((i) => used[i] ?? 0);
  const noise = fc.array(fc.tuple(place, fc.nat(255)), { minLength: 1, maxLength: 40 });
  const bytes = Buffer.alloc(image.length);
  const property = fc.asyncProperty(noise, async (changes) => {
    image.copy(bytes);
    for (const [at, value] of changes) bytes[at] = value;
    await ext4MustBeHandled(bytes, [...HEALTHY_PATHS, '/*', 'etc/deep/er/up', 'many/']);
  });
  await holds(test, property, { numRuns: 25 });
});
