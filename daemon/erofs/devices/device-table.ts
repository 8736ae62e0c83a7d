// The table of the further devices of an EROFS image: one slot of 128 bytes for each.

import { formatError } from '../../errors.js';
import { TWO_32 } from '../../lib/bytes.js';
import { readFully, type BlobSource } from '../../blob/source.js';
import { SB, SUPERBLOCK } from '../format.js';
import type { Superblock } from '../reader/superblock.js';
import { MAX_DEVICES } from './limits.js';

const SLOT_SIZE = 128;
const TAG_SIZE = 64;
/** Offsets in a slot. */
const D = { tag: 0, blocks: 64, firstBlock: 68, blocksHigh: 72, firstBlockHigh: 74 } as const;

/** A further device. */
export interface DeviceSlot {
  /** From 1 on: 0 is the image itself. */
  readonly number: number;
  /** What the image calls it, one character a byte; '' if it has no name. */
  readonly tag: string;
  readonly blocks: number;
  /**
   * The block of the image at which the device begins for those who have both in one: blocks of files may be numbered in this
   * way. 0: they are not.
   */
  readonly firstBlock: number;
}

/**
 * Reads the slots of all further devices.
 * @throws OverlaybdError BAD_FORMAT, LIMIT, and what reading throws
 */
export function readDeviceTable(source: BlobSource, sb: Superblock): Promise<DeviceSlot[]> {
  const { name, size } = source;
  return deviceTable({ name, size, read: (...range) => readFully(source, ...range) }, sb);
}

/** What has an image. */
export interface TableSource {
  readonly name: string;
  readonly size: number;
  /** Reads all of a range. */
  readonly read: (offset: number, length: number) => Promise<Buffer>;
}

/**
 * The same of an image that is no blob.
 * @throws OverlaybdError as {@link readDeviceTable} does
 */
export async function deviceTable(
  { name: blob, size, read }: TableSource,
  sb: Superblock,
): Promise<DeviceSlot[]> {
  const { extraDevices, devicesAt } = sb;
  if (extraDevices > MAX_DEVICES) {
    throw formatError({
      blob,
      section: 'superblock',
      offset: SUPERBLOCK + SB.extraDevices,
      expected: `at most ${MAX_DEVICES} further devices`,
      got: extraDevices,
      code: 'LIMIT',
    });
  }
  if (devicesAt + extraDevices * SLOT_SIZE > size) {
    throw formatError({
      blob,
      section: 'superblock',
      offset: SUPERBLOCK + SB.deviceSlot,
      expected: `a table of ${extraDevices} devices before byte ${size}`,
      got: `one at byte ${devicesAt}`,
    });
  }
  const table = await read(devicesAt, extraDevices * SLOT_SIZE);
  const slots = Array.from({ length: extraDevices }, (_, i) => slotOf(table, i, sb));
  checkPlaces(slots, sb, blob);
  return slots;
}

function slotOf(table: Buffer, i: number, { is48Bit }: Superblock): DeviceSlot {
  const slot = table.subarray(i * SLOT_SIZE, (i + 1) * SLOT_SIZE);
  const wide = (high: number, low: number): number =>
    (is48Bit ? slot.readUInt16LE(high) * TWO_32 : 0) + slot.readUInt32LE(low);
  return {
    number: i + 1,
    tag: slot.toString('latin1', D.tag, TAG_SIZE).split('\0', 1)[0] as string,
    blocks: wide(D.blocksHigh, D.blocks),
    firstBlock: wide(D.firstBlockHigh, D.firstBlock),
  };
}

/** The bits that count of the number of a device in an index of chunks. */
export function deviceMask(slots: readonly DeviceSlot[]): number {
  return 2 ** Math.ceil(Math.log2(slots.length + 1)) - 1;
}

/** Devices that are mapped after the image must not overlap it or each other. */
function checkPlaces(slots: readonly DeviceSlot[], sb: Superblock, blob: string): void {
  let end = sb.blocks;
  for (const { number, blocks, firstBlock } of placed(slots)) {
    if (firstBlock < end) {
      throw formatError({
        blob,
        section: `device ${number}`,
        offset: sb.devicesAt + (number - 1) * SLOT_SIZE + D.firstBlock,
        expected: `a first block from ${end} on`,
        got: firstBlock,
      });
    }
    end = firstBlock + blocks;
  }
}

/** The devices that are mapped after the image, in the order of their places. */
export function placed(slots: readonly DeviceSlot[]): DeviceSlot[] {
  return slots
    .filter(({ firstBlock }) => firstBlock > 0)
    .toSorted((a, b) => a.firstBlock - b.firstBlock);
}

/** Whether all devices are in the image itself, after its own blocks. @param size bytes of the image */
export function areInside(slots: readonly DeviceSlot[], size: number, sb: Superblock): boolean {
  return slots.every(
    ({ firstBlock, blocks }) => firstBlock > 0 && (firstBlock + blocks) * sb.blockSize <= size,
  );
}
