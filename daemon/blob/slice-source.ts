// A part of another source as a source of its own: a member of a tar that is not a local file.

import type { DataRuns, FileRange } from '../lib/disk.js';
import { shortRead } from './file-jobs.js';
import type { BlobSource } from './source.js';

export interface SliceSpec {
  readonly kind: 'slice';
  readonly name: string;
  /** Byte offset in the other source where the slice begins. */
  readonly offset: number;
  readonly size: number;
}

export class SliceSource implements BlobSource {
  readonly name: string;
  readonly size: number;
  readonly isLocal: boolean;
  readonly dataRuns?: (offset: number, length: number) => Promise<DataRuns | null>;
  readonly #source: BlobSource;
  readonly #offset: number;

  constructor({ name, offset, size }: SliceSpec, source: BlobSource) {
    this.name = name;
    this.size = size;
    this.isLocal = source.isLocal;
    this.#source = source;
    this.#offset = offset;
    if (source.dataRuns) this.dataRuns = (at, length) => this.#dataRuns(source, at, length);
  }

  ensure(offset: number, length: number): Promise<void> | null {
    this.#check(offset, length);
    return this.#source.ensure(this.#offset + offset, length);
  }

  read(offset: number, length: number, dst: Uint8Array, at: number): boolean {
    this.#check(offset, length);
    return this.#source.read(this.#offset + offset, length, dst, at);
  }

  locate(offset: number, length: number, into: FileRange): boolean {
    if (offset + length > this.size) return false;
    return this.#source.locate?.(this.#offset + offset, length, into) ?? false;
  }

  distrust(offset: number, length: number): boolean {
    return this.#source.distrust?.(this.#offset + offset, length) ?? false;
  }

  async load(offset: number, length: number): Promise<void> {
    this.#check(offset, length);
    await this.#source.load(this.#offset + offset, length);
  }

  async prefetch(offset: number, length: number): Promise<void> {
    const n = Math.min(length, this.size - offset);
    if (n > 0) await this.#source.prefetch(this.#offset + offset, n);
  }

  async #dataRuns(source: BlobSource, offset: number, length: number): Promise<DataRuns | null> {
    const found = (await source.dataRuns?.(this.#offset + offset, length)) ?? null;
    if (!found) return null;
    // The last run may go on in a neighbour.
    const runs = found.runs.map((at) => Math.min(at - this.#offset, this.size));
    return { begin: offset, runs, end: found.end - this.#offset };
  }

  /** A slice must not see its neighbours. */
  #check(offset: number, length: number): void {
    if (offset + length <= this.size) return;
    throw shortRead(this.name, offset, length, this.size - offset);
  }
}
