// Merges (and writes) hostile layers on a thread with a small heap; small-heap.test.ts starts it.
import { parentPort, workerData } from 'node:worker_threads';
import { writeErofs } from '../../../daemon/erofs/write.js';
import { LayerTreeBuilder } from '../../../daemon/tree/builder.js';
import type { LayerTree } from '../../../daemon/tree/layer-tree.js';
import { packSections, unpackSections } from '../../../daemon/lib/sections.js';
import { treeOfSections, treeSections } from '../../../daemon/tree/tree-record.js';
import { mergeLayers } from '../../../daemon/tree/merge.js';

const COUNT = 12_000;
const NAME = 'n'.repeat(255);
/** A path of 11 KiB. */
const DEEP = Array.from({ length: 44 }, () => NAME).join('/');

const cases: Record<string, () => LayerTree[]> = {
  // 12,000 targets of 4 KiB are 47 MiB.
  links: () => {
    const builder = new LayerTreeBuilder({ name: 'links', hasWhiteouts: true });
    for (let i = 0; i < COUNT; i++) {
      builder.add({ path: `${i}`, type: 'symlink', target: `${i}`.padEnd(4095, 'x') });
    }
    return [builder.finish()];
  },
  // 12,000 folders with paths of 11 KiB are 129 MiB.
  folders: () => {
    const builder = new LayerTreeBuilder({ name: 'folders', hasWhiteouts: true });
    for (let i = 0; i < COUNT; i++) builder.add({ path: `${DEEP}/${i}/x`, type: 'reg' });
    return [builder.finish()];
  },
  // The whiteout's folder is a symlink: all paths of the layer are looked at.
  whiteouts: () => {
    const lower = new LayerTreeBuilder({ name: 'lower', hasWhiteouts: true });
    lower.add({ path: 'real/x', type: 'reg' });
    lower.add({ path: 'way', type: 'symlink', target: 'real' });
    const upper = new LayerTreeBuilder({ name: 'upper', hasWhiteouts: true });
    for (let i = 0; i < COUNT; i++) upper.add({ path: `${DEEP}/${i}`, type: 'reg' });
    upper.add({ path: 'way/.wh.x', type: 'reg' });
    return [lower.finish(), upper.finish()];
  },
  // 2000 values of 60,000 bytes, in a record and back. EROFS is written, too: it has room for them.
  record: () => {
    const builder = new LayerTreeBuilder({ name: 'record', hasWhiteouts: true });
    for (let i = 0; i < 2000; i++) {
      const value = Buffer.alloc(60_000, `${i}`);
      builder.add({ path: `${i}`, type: 'reg', xattrs: new Map([['user.x', value]]) });
    }
    const record = packSections(null, treeSections(builder.finish()));
    return [treeOfSections(unpackSections(record, 'record').sections, 'record')];
  },
};

const layers = cases[workerData as string]?.() ?? [];
const tree = mergeLayers(layers);
if (workerData === 'record') writeErofs(tree, { uuidSeed: [] });
parentPort?.postMessage(tree.inodes.count);
