// The merged disk computed sector by sector, bottom layer first: slow, and simple enough to be trusted.
import { SECTOR } from './lsmt-layout.js';

/** Sectors of one layer: zeros that hide lower layers, or `length` sectors of data. */
export interface ModelSegment {
  /** Sectors. */
  offset: number;
  /** Sectors. */
  length: number;
  zeroed?: boolean;
  data?: Uint8Array;
}

export interface ModelDevice {
  /** The whole disk. */
  device: Buffer;
  /** For each sector the number of its layer (0 is the bottom), or -1 for a hole. */
  owner: Int16Array;
  /** For each sector 1 if its layer zeroes it, otherwise 0. */
  zeroed: Uint8Array;
}

export const HOLE = -1;

/**
 * Builds the device. Within a layer later segments win, which a sealed layer never shows and an append-only upper
 * does. Sectors past `virtualSize` (bytes) are left out.
 */
export function buildDevice(
  virtualSize: number,
  layers: readonly (readonly ModelSegment[])[],
): ModelDevice {
  const sectors = Math.floor(virtualSize / SECTOR);
  const device = Buffer.alloc(virtualSize);
  const owner = new Int16Array(sectors).fill(HOLE);
  const zeroed = new Uint8Array(sectors);
  for (const [layer, segments] of layers.entries()) {
    for (const segment of segments) {
      for (let done = 0; done < segment.length; done++) {
        const sector = segment.offset + done;
        if (sector >= sectors) break;
        owner[sector] = layer;
        zeroed[sector] = segment.zeroed === true ? 1 : 0;
        device.set(sectorOf(segment, done), sector * SECTOR);
      }
    }
  }
  return { device, owner, zeroed };
}

const ZEROS = Buffer.alloc(SECTOR);

function sectorOf({ offset, zeroed, data }: ModelSegment, index: number): Uint8Array {
  if (zeroed === true) return ZEROS;
  const bytes = data?.subarray(index * SECTOR, (index + 1) * SECTOR);
  if (bytes?.length !== SECTOR) {
    throw new RangeError(`model: segment at ${offset}: no data for its sector ${index}`);
  }
  return bytes;
}
