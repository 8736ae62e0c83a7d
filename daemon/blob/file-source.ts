// A regular file or block device, or a part of one (a tar member), as a blob source. Owns no
// descriptor: the caller that opened it closes it.

import type { DataRuns, FileRange } from '../lib/disk.js';
import { files } from '../native/file.js';
import { findDataRuns, loadRange, prefetchRange, shortRead } from './file-jobs.js';
import type { BlobSource } from './source.js';

/** What a reactor needs to make the same source again; descriptors are shared by all threads. */
export interface FileSourceSpec {
  readonly kind: 'file';
  readonly name: string;
  /** Of openFile, so that the addon knows how to read it. */
  readonly fd: number;
  /** Byte offset in the file where the source begins. */
  readonly base: number;
  readonly size: number;
}

export class FileSource implements BlobSource {
  readonly name: string;
  readonly size: number;
  readonly isLocal = true;
  readonly #fd: number;
  readonly #base: number;

  constructor(spec: FileSourceSpec) {
    this.name = spec.name;
    this.size = spec.size;
    this.#fd = spec.fd;
    this.#base = spec.base;
  }

  ensure(): null {
    return null;
  }

  read(offset: number, length: number, dst: Uint8Array, at: number): boolean {
    // A slice must not return bytes of its neighbours, even if the file has them.
    if (offset + length > this.size) throw this.#shortRead(offset, length);
    // A part only, or nothing, or an error: `load` finds out what is the matter.
    return files.readAtHand(this.#fd, dst, at, length, this.#base + offset) === length;
  }

  locate(offset: number, length: number, into: FileRange): boolean {
    if (offset + length > this.size) return false;
    into.fd = this.#fd;
    into.position = this.#base + offset;
    return true;
  }

  load(offset: number, length: number): Promise<void> {
    if (offset + length > this.size) return Promise.reject(this.#shortRead(offset, length));
    if (length === 0) return Promise.resolve();
    return loadRange(this.#fd, this.name, offset, length, this.#base + offset);
  }

  async prefetch(offset: number, length: number): Promise<void> {
    const n = Math.min(length, this.size - offset);
    if (n > 0) await prefetchRange(this.#fd, this.name, offset, n, this.#base + offset);
  }

  async dataRuns(offset: number, length: number): Promise<DataRuns | null> {
    const base = this.#base;
    const fileEnd = base + this.size;
    const found = await findDataRuns(this.#fd, this.name, base + offset, length, fileEnd);
    if (!found) return found;
    // The last run may go on in a slice's neighbour.
    const runs = found.runs.map((at) => Math.min(at, fileEnd) - base);
    return { begin: offset, runs, end: found.end - base };
  }

  #shortRead(offset: number, length: number): Error {
    return shortRead(this.name, offset, length, this.size - offset);
  }
}
