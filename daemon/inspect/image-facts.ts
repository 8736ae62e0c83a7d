// What `inspect` knows about an image as a whole: plain values, gathered from its opened layers.
// The names are the keys of its JSON (docs/cli.md), so they stay. Prints nothing.

import { LSMT_HEADER_SIZE, SECTOR } from '../lsmt/format.js';
import { mergeLayers } from '../lsmt/merge.js';
import { ZEROED, type SegmentList } from '../lsmt/segment-list.js';
import { layerFacts, type LayerFacts } from './layer-facts.js';
import type { OpenedLayer, OpenedStack } from './open-stack.js';

/** What a layer gives to the device: the part of it that no layer above covers. */
export interface Contribution {
  readonly mappedBytes: number;
  readonly zeroedBytes: number;
}

export interface DeviceFacts {
  /** Of the merged index. */
  readonly segments: number;
  readonly mappedBytes: number;
  readonly zeroedBytes: number;
  readonly holeBytes: number;
  /** One a layer, bottom first. */
  readonly contributions: readonly Contribution[];
}

export interface ImageFacts {
  readonly name: string;
  readonly notes: readonly string[];
  /** Bytes of the device; 0 when the files given do not tell. */
  readonly virtualSize: number;
  /** Bytes of all files, each counted once; of a sparse upper only its data, not its holes. */
  readonly fileBytes: number;
  /** `fileBytes` by the mapped bytes of the device; null when it maps none. */
  readonly ratio: number | null;
  /** How many layers name the layer below them as their parent, of how many that have one. */
  readonly linkedParents: number;
  readonly possibleParents: number;
  /** Null for raw disk images, and where the files given do not tell. */
  readonly device: DeviceFacts | null;
  /** Bottom first. */
  readonly layers: readonly LayerFacts[];
}

/** @throws OverlaybdError LIMIT when the layers have too many segments to be merged */
export function imageFacts({ plan, layers: opened }: OpenedStack): ImageFacts {
  const layers: LayerFacts[] = [];
  for (const layer of opened) layers.push(layerFacts(layer, layers.at(-1)));
  const notes = [...plan.notes];

  const sizes = new Map(opened.flatMap(fileSizes));
  const fileBytes = [...sizes.values()].reduce((sum, size) => sum + size, 0);

  const lists: SegmentList[] = [];
  for (const { content } of opened) {
    if (content.kind === 'lsmt') lists.push(content.layer.segments);
    if (content.kind === 'half upper') {
      const other = content.part === 'data' ? 'index' : 'data';
      notes.push(
        `an append-only upper without its ${other} file: name the image's configuration to see what it maps`,
      );
    }
  }
  const isStack = lists.length > 0 && lists.length === opened.length;
  const [first] = opened;
  const isRaw = first?.content.kind === 'raw';
  const virtualSize = isRaw
    ? (first.peeled?.source.size ?? 0)
    : (layers.map(({ lsmt }) => lsmt?.virtualSize ?? 0).findLast((size) => size > 0) ?? 0);
  if (isStack && virtualSize === 0) notes.push('no layer gives a virtual size: nothing to serve');
  const device = isStack && virtualSize > 0 ? deviceFacts(lists, virtualSize) : null;
  const mapped = device?.mappedBytes ?? (isRaw ? virtualSize : 0);
  return {
    name: plan.name,
    notes,
    virtualSize,
    fileBytes,
    ratio: mapped > 0 ? fileBytes / mapped : null,
    linkedParents: layers.filter(({ lsmt }) => lsmt?.parent === 'layer below').length,
    possibleParents: layers.length - 1,
    device,
    layers,
  };
}

/** The files of a layer by identity, with what they take. */
function fileSizes({ files, content }: OpenedLayer): [identity: string, bytes: number][] {
  return files.map(({ identity, source }) => {
    if (content.kind !== 'lsmt' || content.layer.kind !== 'sparse upper') {
      return [identity, source.size];
    }
    const { segments } = content.layer;
    const sectors = segments.lengths.subarray(0, segments.count).reduce((sum, n) => sum + n, 0);
    return [identity, LSMT_HEADER_SIZE + sectors * SECTOR];
  });
}

/** Segments beyond the device, and parts of them, are not counted: nobody can read them. */
function deviceFacts(layers: readonly SegmentList[], virtualSize: number): DeviceFacts {
  const merged = mergeLayers(layers);
  const mapped = new Float64Array(layers.length);
  const zeroed = new Float64Array(layers.length);
  let segments = 0;
  for (; segments < merged.count; segments++) {
    const begin = (merged.offsets[segments] as number) * SECTOR;
    if (begin >= virtualSize) break;
    const end = Math.min(begin + (merged.lengths[segments] as number) * SECTOR, virtualSize);
    const layer = merged.layers[segments] as number;
    const sums = merged.moffsets[segments] === ZEROED ? zeroed : mapped;
    sums[layer] = (sums[layer] as number) + (end - begin);
  }
  const mappedBytes = mapped.reduce((sum, bytes) => sum + bytes, 0);
  const zeroedBytes = zeroed.reduce((sum, bytes) => sum + bytes, 0);
  return {
    segments,
    mappedBytes,
    zeroedBytes,
    holeBytes: virtualSize - mappedBytes - zeroedBytes,
    contributions: layers.map((_, i) => ({
      mappedBytes: mapped[i] as number,
      zeroedBytes: zeroed[i] as number,
    })),
  };
}
