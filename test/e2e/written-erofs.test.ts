// File systems that the writer makes, for others than our own reader: fsck.erofs, and the kernel of this machine, which
// mounts them from a loop device.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import tap, { test, type Test } from 'tap';
import { writeErofs } from '../../daemon/erofs/write.js';
import type { EntryDraft } from '../../daemon/tree/builder.js';
import { mergeLayers } from '../../daemon/tree/merge.js';
import { arbitraryLayers, SOURCE_SIZE } from '../support/arbitrary-trees.js';
import { deviceOf } from '../support/erofs/device.js';
import { MIXED, MIXED_SOURCE_SIZE } from '../support/erofs/mixed.js';
import { readErofs } from '../support/erofs/reader.js';
import { treeLines, type TreeLine } from '../support/erofs/tree-lines.js';
import { asMounted, folderTree } from '../support/folder-tree.js';
import { randomBytes } from '../support/pattern.js';
import { SEED } from '../support/seed.js';
import { withMountedImage } from '../support/loop-mount.js';
import { requireTool, runTool } from '../support/tools.js';
import { withoutRefused } from '../support/tree-model.js';
import { treeOf } from '../support/trees.js';

tap.setTimeout(300_000);

interface Written {
  path: string;
  lines: TreeLine[];
}

/** Writes a device to a file. Every layer has the same source. */
function toFile(t: Test, layers: readonly (readonly EntryDraft[])[], source: Buffer): Written {
  const trees = layers.map((layer) => treeOf(layer));
  const device = writeErofs(mergeLayers(trees), { uuidSeed: [] });
  const sources = trees.flatMap(({ sourceCount }) => Array<Buffer>(sourceCount).fill(source));
  const read = deviceOf(device, sources);
  const path = join(t.testdir(), 'device');
  writeFileSync(path, read(0, device.deviceSize));
  return { path, lines: treeLines(readErofs(read, device.deviceSize).entries) };
}

function randomStacks(): EntryDraft[][][] {
  const stacks = fc.sample(arbitraryLayers(3, 30), { seed: SEED, numRuns: 12 });
  return stacks.map(withoutRefused).filter((layers) => layers.flat().length > 5);
}

async function isClean(t: Test, path: string): Promise<void> {
  const { code, stdout, stderr } = await runTool('fsck.erofs', ['--extract', path]);
  t.equal(code, 0, `fsck.erofs: ${stderr}`);
  // It prints some errors, such as a wrong checksum, and ends with 0.
  t.notMatch(`${stdout}${stderr}`, /<[EW]>/);
}

await test('fsck.erofs finds nothing', async (t) => {
  if (!requireTool(t, 'fsck.erofs')) return;
  await isClean(t, toFile(t, [MIXED], randomBytes(1, MIXED_SOURCE_SIZE)).path);
  for (const layers of randomStacks()) {
    await isClean(t, toFile(t, layers, randomBytes(2, SOURCE_SIZE)).path);
  }
});

await test('the kernel shows the tree', async (t) => {
  if (!requireTool(t, 'mount', 'umount', 'python3')) return;
  const stacks = [[[...MIXED]], ...randomStacks()];
  for (const [i, layers] of stacks.entries()) {
    const source = randomBytes(3, i === 0 ? MIXED_SOURCE_SIZE : SOURCE_SIZE);
    const { path, lines } = toFile(t, layers, source);
    const folder = `${path}-mounted`;
    mkdirSync(folder);
    const isMounted = await withMountedImage(t, path, folder, async () => {
      t.same(await folderTree(folder), asMounted(lines));
    });
    if (!isMounted) return;
  }
});
