// Layers merged and written as EROFS without any format: what a device of the same layers in a format must have.
import { isDeepStrictEqual } from 'node:util';
import { writeErofs } from '../../../daemon/erofs/write.js';
import type { Disk } from '../../../daemon/lib/disk.js';
import type { EntryDraft } from '../../../daemon/tree/builder.js';
import { mergeLayers } from '../../../daemon/tree/merge.js';
import { deviceOf } from '../erofs/device.js';
import { readErofs, type ErofsEntry } from '../erofs/reader.js';
import { readRange } from '../in-process.js';
import { treeOf } from '../trees.js';
import { storedLayer } from './archive-form.js';
import { comparable } from './tree-files.js';

export function directly(layers: readonly EntryDraft[][]): readonly ErofsEntry[] {
  const stored = layers.map(storedLayer);
  const trees = stored.map(({ drafts }) => treeOf(drafts));
  const device = writeErofs(mergeLayers(trees), { uuidSeed: [] });
  const sources = trees.flatMap(({ sourceCount }, i) =>
    sourceCount === 0 ? [] : [stored[i]?.bytes as Buffer],
  );
  return readErofs(deviceOf(device, sources), device.deviceSize).entries;
}

/** @throws Error if the file system of the device has other entries */
export async function checkEntries(device: Disk, want: readonly ErofsEntry[]): Promise<void> {
  const bytes = await readRange(device, 0, device.size);
  const back = readErofs((at, n) => bytes.subarray(at, at + n), device.size).entries;
  const [got, wanted] = [comparable(back), comparable(want)];
  if (isDeepStrictEqual(got, wanted)) return;
  const i = got.findIndex((each, at) => !isDeepStrictEqual(each, wanted[at]));
  throw new Error(
    i < 0
      ? `${got.length} entries, and not ${wanted.length}`
      : `entry ${i}: ${JSON.stringify(got[i])} is not ${JSON.stringify(wanted[i])}`,
  );
}
