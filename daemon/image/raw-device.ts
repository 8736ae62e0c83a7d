// A device without layers: a raw disk image, plain or decompressed from a ZFile.

import type { BlobSource } from '../blob/source.js';
import type { Device } from './device.js';

export class RawDevice implements Device {
  readonly size: number;
  readonly #source: BlobSource;

  constructor(source: BlobSource) {
    this.size = source.size;
    this.#source = source;
  }

  ensure(offset: number, length: number): Promise<void> | null {
    return this.#source.ensure(offset, length);
  }

  read(
    dst: Uint8Array,
    dstOffset: number,
    length: number,
    offset: number,
    mayBlock: boolean,
  ): boolean {
    return this.#source.read(dst, dstOffset, length, offset, mayBlock);
  }

  load(offset: number, length: number): Promise<void> {
    return this.#source.load(offset, length);
  }
}
