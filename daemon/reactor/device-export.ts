// A device as an NBD export: joins image/ and nbd/, which do not know each other.

import type { DataRuns } from '../lib/data-runs.js';
import type { ExtentList } from '../lib/extent-list.js';
import type { Device } from '../image/device.js';
import type { FileRange } from '../lib/file-range.js';
import type { ExportCursor, NbdExport } from '../nbd/export.js';

/** Requests may begin and end anywhere; a larger one would keep clients from asking. */
const MINIMUM_BLOCK_SIZE = 1;
const PREFERRED_BLOCK_SIZE = 4096;

export class DeviceExport implements NbdExport {
  readonly name: string;
  readonly description: string;
  readonly size: number;
  readonly minimumBlockSize = MINIMUM_BLOCK_SIZE;
  readonly preferredBlockSize = PREFERRED_BLOCK_SIZE;
  readonly #device: Device;

  constructor(name: string, description: string, device: Device) {
    this.name = name;
    this.description = description;
    this.size = device.size;
    this.#device = device;
  }

  newCursor(): ExportCursor {
    return { hint: 0 };
  }

  ensure(offset: number, length: number): Promise<void> | null {
    return this.#device.ensure(offset, length);
  }

  read(
    dst: Uint8Array,
    dstOffset: number,
    length: number,
    offset: number,
    cursor: ExportCursor,
  ): boolean {
    return this.#device.read(dst, dstOffset, length, offset, cursor);
  }

  locate(offset: number, length: number, into: FileRange, cursor: ExportCursor): boolean {
    return this.#device.locate(offset, length, into, cursor);
  }

  askExtents(offset: number, length: number): Promise<DataRuns> | null {
    return this.#device.askExtents(offset, length);
  }

  extents(
    offset: number,
    length: number,
    into: ExtentList,
    cursor: ExportCursor,
    runs: DataRuns | null,
  ): number {
    return this.#device.extents(offset, length, into, cursor, runs);
  }

  prefetch(offset: number, length: number): Promise<void> {
    return this.#device.prefetch(offset, length);
  }

  load(offset: number, length: number): Promise<void> {
    return this.#device.load(offset, length);
  }
}
