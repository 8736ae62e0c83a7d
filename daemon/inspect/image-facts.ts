// What `inspect` knows about an image as a whole: plain values, gathered from its opened layers.
// The names are the keys of its JSON (docs/json-output.md), so they stay. Prints nothing.

import { LSMT_HEADER_SIZE, SECTOR } from '../lsmt/format.js';
import type { LsmtLayer } from '../lsmt/layer.js';
import { UNBOUNDED } from '../lib/effort.js';
import { uuidSeedOf } from '../image/stack/fingerprint.js';
import { showsWhiteouts, treeImage, type TreeImage } from '../image/stack/tree-image.js';
import { LsmtIndex } from '../lsmt/merged-index.js';
import {
  NO_VIRTUAL_SIZE,
  isOfTrees,
  lsmtLayersOf,
  virtualSizeOf,
  wholeNotes,
} from '../image/stack/open-stack.js';
import { readDisk } from '../image/disks/disk-partitions.js';
import { mergedIndex } from './merged-index.js';
import { diskOf, partitionFacts, type PartitionFacts } from './partition-facts.js';
import { erofsFacts, type ErofsFacts } from './tree-facts.js';
import { layerFacts, type LayerFacts } from './layer-facts.js';
import type { InspectedImage, InspectedLayer } from './open-for-inspection.js';

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
  /** Bytes of the disk; 0 if the given files do not say. */
  readonly virtualSize: number;
  /** Bytes of all files, each counted once; of a sparse upper only its data, not its holes. */
  readonly fileBytes: number;
  /** `fileBytes` by the mapped bytes of the device; null when it maps none. */
  readonly ratio: number | null;
  /** How many layers name the layer below them as their parent, out of `possibleParents`. */
  readonly linkedParents: number;
  readonly possibleParents: number;
  /** Null for raw disk images, and if the given files do not say. */
  readonly device: DeviceFacts | null;
  /** Null where the device has no partition table, or none that can be read: then a note says why. */
  readonly partitions: PartitionFacts | null;
  /** Of the disk, for people: "ext4, blocks of 4096 bytes". Null: none that is known, or the image is made of files. */
  readonly filesystem: string | null;
  /** Of an image whose layers are files. */
  readonly erofs: ErofsFacts | null;
  /** Bottom first. */
  readonly layers: readonly LayerFacts[];
}

/** Names the file system on a disk, for people; null: none that is known. */
export type NameFilesystem = (
  name: string,
  read: (offset: number, length: number) => Promise<Uint8Array>,
) => Promise<string | null>;

/** @throws OverlaybdError LIMIT when the layers have too many segments to be merged */
export async function imageFacts(
  image: InspectedImage,
  nameFilesystem: NameFilesystem = () => Promise.resolve(null),
): Promise<ImageFacts> {
  const { plan, layers: opened } = image;
  const layers: LayerFacts[] = [];
  for (const layer of opened) layers.push(layerFacts(layer, layers.at(-1)));
  const notes = [...(plan.details ?? []), ...plan.notes, ...wholeNotes(opened, plan.name)];

  const sizes = new Map(opened.flatMap(fileSizes));
  const fileBytes = [...sizes.values()].reduce((sum, size) => sum + size, 0);

  const stack = lsmtLayersOf(opened);
  for (const { content } of opened) {
    if (content.kind === 'raw') notes.push(...content.doubts);
    if (content.kind === 'half upper') {
      const other = content.part === 'data' ? 'index' : 'data';
      notes.push(
        `an append-only upper without its ${other} file: name the image's configuration to see what it maps`,
      );
    }
  }
  const isStack = stack.length > 0 && stack.length === opened.length;
  const [first] = opened;
  const isRaw = first?.content.kind === 'raw';
  const tree = isOfTrees(opened)
    ? treeImage(
        opened,
        plan.name,
        uuidSeedOf(plan, await image.marks()),
        UNBOUNDED,
        showsWhiteouts(opened, plan.layer),
      )
    : null;
  const virtualSize =
    tree?.written.deviceSize ?? (isRaw ? first.inner.source.size : sizeOf(stack, layers));
  if (isStack && virtualSize === 0) notes.push(`${NO_VIRTUAL_SIZE}: nothing to serve`);
  const index =
    isStack && virtualSize > 0 ? await mergedIndex(stack, virtualSize, plan.name) : null;
  const targetLayers = opened.flatMap(({ target }, i) => (target ? [i] : []));
  const layerOf = (tag: number): number => targetLayers[tag - opened.length] ?? tag;
  const device = index && deviceFacts(index, opened.length, layerOf);
  const treeDevice = tree && treeDeviceFacts(tree, opened.length);
  if (tree) notes.push(...tree.notes);
  const partitions = await partitionFacts(plan.name, opened, index, notes);
  const disk = partitions ? null : diskOf(opened, index);
  const filesystem = disk
    ? await nameFilesystem(plan.name, (offset, length) =>
        readDisk(disk, offset, Math.max(0, Math.min(length, disk.size - offset))),
      )
    : null;
  const mapped = (device ?? treeDevice)?.mappedBytes ?? (isRaw ? virtualSize : 0);
  return {
    name: plan.name,
    notes,
    virtualSize,
    fileBytes,
    ratio: mapped > 0 ? fileBytes / mapped : null,
    linkedParents: layers.filter(({ lsmt }) => lsmt?.parent === 'layer below').length,
    possibleParents: layers.length - 1,
    device: device ?? treeDevice,
    erofs: tree && erofsFacts(tree),
    partitions,
    filesystem,
    layers,
  };
}

/** The files of a layer by key, with what they take. */
function fileSizes({ blobs, content, own }: InspectedLayer): [key: string, bytes: number][] {
  return blobs.map(({ key, size }) => {
    if (!own || content.kind !== 'lsmt' || content.layer.kind !== 'sparse upper') {
      return [key, size];
    }
    const { index } = own;
    let sectors = 0;
    for (let i = 0; i < index.count; i++) sectors += index.lengthOf(i);
    return [key, LSMT_HEADER_SIZE + sectors * SECTOR];
  });
}

/** Of a stack, or of one file of an upper. */
function sizeOf(stack: readonly LsmtLayer[], layers: readonly LayerFacts[]): number {
  return stack.length > 0 ? virtualSizeOf(stack) : (layers[0]?.lsmt?.virtualSize ?? 0);
}

/** The metadata is no layer's. */
function treeDeviceFacts({ index, sourceLayers }: TreeImage, layers: number): DeviceFacts {
  return deviceFacts(new LsmtIndex(index), layers, (tag) => sourceLayers[tag - 1] ?? -1);
}

/** @param layerOf from the layer of a segment to that of the image; -1: none */
function deviceFacts(
  index: LsmtIndex,
  layers: number,
  layerOf: (tag: number) => number,
): DeviceFacts {
  const { virtualSize } = index;
  const mapped = new Float64Array(layers);
  const zeroed = new Float64Array(layers);
  let mappedBytes = 0;
  let zeroedBytes = 0;
  for (let i = 0; i < index.count; i++) {
    // The last sector may be on the device in part.
    const bytes = Math.min(index.endOf(i) * SECTOR, virtualSize) - index.offsetOf(i) * SECTOR;
    const layer = layerOf(index.layerOf(i));
    if (index.isZeroed(i)) zeroedBytes += bytes;
    else mappedBytes += bytes;
    const sums = index.isZeroed(i) ? zeroed : mapped;
    if (layer >= 0) sums[layer] = (sums[layer] as number) + bytes;
  }
  return {
    segments: index.count,
    mappedBytes,
    zeroedBytes,
    holeBytes: virtualSize - mappedBytes - zeroedBytes,
    contributions: Array.from({ length: layers }, (_, i) => ({
      mappedBytes: mapped[i] as number,
      zeroedBytes: zeroed[i] as number,
    })),
  };
}
