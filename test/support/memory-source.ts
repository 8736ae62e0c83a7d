// A blob source over bytes in memory, for tests of formats without files; it never waits and never fails.
import { OverlaybdError } from '../../daemon/errors.js';
import type { BlobSource } from '../../daemon/blob/source.js';

export class MemorySource implements BlobSource {
  readonly name: string;
  /** Tests replace or change it to repair or to damage what is read. */
  bytes: Buffer;
  /** Ranges that were read, as [offset, length]. */
  readonly reads: [number, number][] = [];

  constructor(bytes: Buffer, name = 'blob') {
    this.bytes = bytes;
    this.name = name;
  }

  get size(): number {
    return this.bytes.length;
  }

  readonly isLocal: boolean = true;

  ensure(_offset?: number, _length?: number): null {
    return null;
  }

  read(offset: number, length: number, dst: Uint8Array, at: number): boolean {
    if (offset + length > this.bytes.length) {
      throw new OverlaybdError('SHORT_READ', `${this.name}: read of ${length} bytes at ${offset}`);
    }
    this.reads.push([offset, length]);
    dst.set(this.bytes.subarray(offset, offset + length), at);
    return true;
  }

  async load(): Promise<void> {
    // Everything is here.
  }

  async prefetch(): Promise<void> {
    // Everything is here.
  }
}
