// Opens an EROFS image whose files have contents on other devices: mkfs.erofs writes such images with --blobdev, and with --tar=i,
// where the device is the archive. The tree is read, and the device that is served has everything.

import type { BlobSource } from '../../blob/source.js';
import { formatError } from '../../errors.js';
import { counted } from '../../lib/counted.js';
import type { Effort } from '../../lib/effort.js';
import type { PiecesSpec } from '../../pieces/pieces-source.js';
import { LayerTreeBuilder } from '../../tree/builder.js';
import type { LayerTree } from '../../tree/layer-tree.js';
import { SB, SUPERBLOCK } from '../format.js';
import { kernelNeeds } from '../reader/features.js';
import { ErofsImage } from '../reader/image.js';
import { addTree } from '../reader/layer-tree.js';
import { checkWhole } from '../reader/raw-image.js';
import { isErofs, readSuperblock, type Superblock } from '../reader/superblock.js';
import { DeviceContents, type DeviceSource } from './contents.js';
import { areInside, readDeviceTable, type DeviceSlot } from './device-table.js';
import { MAX_DEVICE_PADDING } from './limits.js';

/** A further device whose bytes files need. */
export interface NeededDevice {
  readonly number: number;
  /** One character a byte; '' if the image does not name it. */
  readonly tag: string;
  /** Bytes that it has at least. */
  readonly bytes: number;
  /** Further devices of the image. */
  readonly count: number;
}

/** A content source of the tree. */
export interface NeededSource {
  /** Null: it is in the image itself. */
  readonly device: NeededDevice | null;
  /** A source around the image; null: the bytes are used as they are. */
  readonly around: PiecesSpec | null;
}

export interface OpenedDevices {
  readonly tree: LayerTree;
  /** The content sources of the tree, in their order. */
  readonly sources: readonly NeededSource[];
  /** For people: what it is, and what a kernel would need for it. */
  readonly format: string;
  readonly notes: readonly string[];
}

/** @param head the first bytes of a blob @throws OverlaybdError BAD_FORMAT */
export function hasDevices(head: Buffer, blob: string): boolean {
  return isErofs(head) && readSuperblock(head, blob).extraDevices > 0;
}

/**
 * Opens an image for which {@link hasDevices} is true.
 * @param mayBeWhole whether devices that are in the image itself are used where they are
 * @returns null if they are: then the image is a disk as it is
 * @throws OverlaybdError BAD_FORMAT, BAD_CHECKSUM, LIMIT, UNSUPPORTED, and what reading and the effort throw
 */
export async function openDevices(
  source: BlobSource,
  head: Buffer,
  effort: Effort,
  mayBeWhole: boolean,
): Promise<OpenedDevices | null> {
  const { name, size } = source;
  const sb = readSuperblock(head, name);
  const slots = await readDeviceTable(source, sb);
  if (mayBeWhole && areInside(slots, size, sb)) return null;
  await checkWhole(source, sb);
  const image = await ErofsImage.read(source, effort);
  const tree = new LayerTreeBuilder({ name, hasWhiteouts: false, effort });
  const contents = new DeviceContents(image, slots, effort);
  const dataOf = contents.dataOf.bind(contents);
  const sockets = await addTree(image, tree, { dataOf }, effort);
  return {
    tree: tree.finish(),
    sources: contents.sources.map((each) => neededSource(each, contents, slots, sb)),
    format: formatOf(slots, sb),
    notes: sockets > 0 ? [`${name}: ${counted(sockets, 'socket')} left out`] : [],
  };
}

function neededSource(
  source: DeviceSource,
  contents: DeviceContents,
  slots: readonly DeviceSlot[],
  { blockSize }: Superblock,
): NeededSource {
  if (source === 'image') return { device: null, around: null };
  if (source === 'tails') return { device: null, around: contents.tails() };
  const { number, tag, blocks } = source;
  return {
    device: { number, tag, bytes: blocks * blockSize, count: slots.length },
    around: null,
  };
}

function formatOf(slots: readonly DeviceSlot[], sb: Superblock): string {
  const { features, kernel } = kernelNeeds(sb);
  const parts = [`blocks of ${sb.blockSize} bytes`, ...features];
  const devices = counted(slots.length, 'further device');
  const needs = kernel === null ? 'no known kernel mounts' : `Linux ${kernel} and later mounts`;
  return `EROFS with ${devices}, by its superblock: ${parts.join(', ')}; ${needs} it as it is`;
}

/** Bytes of an image that {@link isImageOf} looks at. */
export const IMAGE_HEAD = SUPERBLOCK + 128;

/** Whether a file is an EROFS image with this UUID. @param uuid 32 hexadecimal digits @param head its first bytes */
export function isImageOf(uuid: string, head: Buffer): boolean {
  const at = SUPERBLOCK + SB.uuid;
  return isErofs(head) && head.toString('hex', at, at + 16) === uuid;
}

/** Whether a file of this size can be a device. */
export function hasSizeOf(size: number, { bytes }: NeededDevice): boolean {
  return size >= bytes && size <= bytes + MAX_DEVICE_PADDING;
}

/**
 * @param blob what is taken for the device
 * @throws OverlaybdError BAD_FORMAT if it cannot be
 */
export function checkDeviceSize(blob: string, size: number, device: NeededDevice): void {
  if (hasSizeOf(size, device)) return;
  const { number, bytes } = device;
  throw formatError({
    blob,
    section: `device ${number}`,
    offset: 0,
    expected: `${bytes} bytes, and at most ${MAX_DEVICE_PADDING} more`,
    got: size,
  });
}
