// A source whose last sector is filled up with zeros: disks read whole sectors, and an archive may end with the last byte of its
// last file.

import type { FileRange } from '../lib/disk.js';
import { shortRead } from './file-jobs.js';
import type { BlobSource } from './source.js';

export interface FilledSpec {
  readonly kind: 'filled';
  /** With the zeros. */
  readonly size: number;
}

export class FilledSource implements BlobSource {
  readonly name: string;
  readonly size: number;
  readonly isLocal: boolean;
  readonly #source: BlobSource;

  constructor({ size }: FilledSpec, source: BlobSource) {
    this.name = source.name;
    this.size = size;
    this.isLocal = source.isLocal;
    this.#source = source;
  }

  ensure(offset: number, length: number): Promise<void> | null {
    const n = this.#within(offset, length);
    return n === 0 ? null : this.#source.ensure(offset, n);
  }

  read(offset: number, length: number, dst: Uint8Array, at: number): boolean {
    const n = this.#within(offset, length);
    if (n > 0 && !this.#source.read(offset, n, dst, at)) return false;
    if (n < length) dst.fill(0, at + n, at + length);
    return true;
  }

  locate(offset: number, length: number, into: FileRange): boolean {
    if (offset + length > this.#source.size) return false;
    return this.#source.locate?.(offset, length, into) ?? false;
  }

  distrust(offset: number, length: number): boolean {
    const n = this.#within(offset, length);
    return n > 0 && (this.#source.distrust?.(offset, n) ?? false);
  }

  async load(offset: number, length: number): Promise<void> {
    const n = this.#within(offset, length);
    if (n > 0) await this.#source.load(offset, n);
  }

  async prefetch(offset: number, length: number): Promise<void> {
    const n = Math.min(length, this.#source.size - offset);
    if (n > 0) await this.#source.prefetch(offset, n);
  }

  /** Bytes of a range that the source within has. */
  #within(offset: number, length: number): number {
    if (offset + length > this.size) {
      throw shortRead(this.name, offset, length, this.size - offset);
    }
    return Math.max(0, Math.min(length, this.#source.size - offset));
  }
}
