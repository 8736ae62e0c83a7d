// From bytes of a disk to chunks of blobs: through the merged index, then as layer-chunks.ts does.

import { setImmediate as turn } from 'node:timers/promises';
import type { DeviceRange } from '../../ext4/file-system.js';
import type { TraceEntry } from '../../fetch/trace-file.js';
import { SECTOR } from '../../lsmt/format.js';
import { LsmtIndex } from '../../lsmt/merged-index.js';
import { LayerMap, SeenChunks, type BlobRange } from './layer-chunks.js';
import { PieceRanges } from './piece-ranges.js';
import { sourcesOf, type DiskSpec, type SourceSpec } from '../disks/spec.js';

/** Segments and ranges between two turns of the event loop: some milliseconds. */
const STEPS_A_TURN = 4096;

/** Bytes of a layer. */
interface LayerRange {
  readonly layer: number;
  readonly offset: number;
  readonly length: number;
}

/**
 * The chunks that hold ranges of a disk.
 * @param maxBytes of all chunks; what comes after that is left out
 */
export async function chunksOfRanges(
  ranges: Iterable<DeviceRange>,
  disk: DiskSpec,
  maxBytes: number,
): Promise<readonly TraceEntry[]> {
  const layers = sourcesOf(disk).map(mapOf);
  const seen = new SeenChunks(maxBytes);
  const split = splitter(disk);
  let steps = 0;
  for (const range of ranges) {
    for (const { layer, offset, length } of split(range)) {
      // oxlint-disable-next-line no-await-in-loop -- the thread does other work in between
      if (++steps % STEPS_A_TURN === 0) await turn();
      const map = layers[layer];
      const n = map ? Math.min(length, map.size - offset) : 0;
      if (!map || n <= 0) continue;
      for (const stored of map.stored(offset, n)) seen.add(stored);
    }
  }
  return seen.entries;
}

/** Where plain bytes of a layer are in its blob. */
interface StoredMap {
  readonly size: number;
  stored(offset: number, length: number): Iterable<BlobRange>;
}

function mapOf(spec: SourceSpec): StoredMap {
  if (spec.kind === 'pieces') return new PieceRanges(spec);
  const map = new LayerMap(spec);
  return {
    size: map.size,
    stored: (offset, length) => {
      const range = map.stored(offset, length);
      return range ? [range] : [];
    },
  };
}

/** What splits ranges of a disk into ranges of its layers. Zeros are in no layer. */
function splitter(disk: DiskSpec): (range: DeviceRange) => Iterable<LayerRange> {
  switch (disk.kind) {
    case 'raw':
      return (range) => [{ layer: 0, ...range }];
    case 'partition': {
      const split = splitter(disk.disk);
      return ({ offset, length }) => split({ offset: disk.offset + offset, length });
    }
    case 'lsmt': {
      const index = new LsmtIndex(disk.index);
      return (range) => segmentsOf(index, range);
    }
  }
}

function* segmentsOf(index: LsmtIndex, { offset, length }: DeviceRange): Generator<LayerRange> {
  const end = offset + length;
  for (let i = index.find(Math.floor(offset / SECTOR), 0); i < index.count; i++) {
    const begin = index.offsetOf(i) * SECTOR;
    if (begin >= end) return;
    if (index.isZeroed(i)) continue;
    const from = Math.max(begin, offset);
    const n = Math.min(index.endOf(i) * SECTOR, end) - from;
    const inLayer = index.moffsetOf(i) * SECTOR + (from - begin);
    yield { layer: index.layerOf(i), offset: inLayer, length: n };
  }
}
