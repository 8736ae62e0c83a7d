// A regular file or block device, or a part of one (a tar member), as a blob source. Owns no
// descriptor: whoever opened it closes it.

import { read as readAsync } from 'node:fs';
import { constants } from 'node:os';
import { OverlaybdError } from '../errors.js';
import { errnoText } from '../lib/errno.js';
import type { FileRange } from '../lib/file-range.js';
import { native } from '../native/binding.js';
import type { BlobSource } from './source.js';

const { EAGAIN, EIO, ENXIO } = constants.errno;
const LOAD_CHUNK = 1 << 20;

/** What a reactor needs to make the same source again; descriptors are shared by all threads. */
export interface FileSourceSpec {
  readonly kind: 'file';
  readonly name: string;
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
  #canNoWait = true;

  constructor(spec: FileSourceSpec) {
    this.name = spec.name;
    this.size = spec.size;
    this.#fd = spec.fd;
    this.#base = spec.base;
  }

  get spec(): FileSourceSpec {
    return { kind: 'file', name: this.name, fd: this.#fd, base: this.#base, size: this.size };
  }

  /** A part of this source as a source of its own, without a further layer of calls. */
  slice(offset: number, size: number, name: string): FileSource {
    return new FileSource({ kind: 'file', name, fd: this.#fd, base: this.#base + offset, size });
  }

  ensure(): null {
    return null;
  }

  read(
    dst: Uint8Array,
    dstOffset: number,
    length: number,
    offset: number,
    mayBlock: boolean,
  ): boolean {
    // A slice must not see its neighbours, whatever the file still has behind it.
    if (offset + length > this.size) throw this.#shortRead(offset, length, this.size - offset);
    const position = this.#base + offset;
    if (!mayBlock && this.#canNoWait) {
      const n = native.preadNoWait(this.#fd, dst, dstOffset, length, position);
      if (n === length) return true;
      // A part only, or nothing: the rest is not in the page cache (or the file was cut short,
      // which the blocking read then finds out).
      if (n >= 0 || n === -EAGAIN) return false;
      // This file system or kernel cannot tell: read as everybody else does. If it is the disk that
      // is broken, the read below says so.
      this.#canNoWait = n === -EIO;
    }
    const n = native.pread(this.#fd, dst, dstOffset, length, position);
    if (n === length) return true;
    throw n < 0 ? this.#ioError(offset, length, n) : this.#shortRead(offset, length, n);
  }

  locate(offset: number, length: number, into: FileRange): boolean {
    if (offset + length > this.size) return false;
    into.fd = this.#fd;
    into.position = this.#base + offset;
    return true;
  }

  /** Where data begins, at or behind `offset`; the size when there is none. */
  nextData(offset: number): number {
    const at = native.seekData(this.#fd, this.#base + offset);
    if (at === -ENXIO) return this.size;
    // A file system that cannot tell, or a device: everything is data.
    return at < 0 ? offset : Math.min(at - this.#base, this.size);
  }

  /** Where a hole begins, at or behind `offset`, which is data; the size when there is none. */
  nextHole(offset: number): number {
    const at = native.seekHole(this.#fd, this.#base + offset);
    return at <= this.#base + offset ? this.size : Math.min(at - this.#base, this.size);
  }

  async load(offset: number, length: number): Promise<void> {
    const end = Math.min(offset + length, this.size);
    const scratch = Buffer.allocUnsafeSlow(Math.max(0, Math.min(LOAD_CHUNK, end - offset)));
    for (let at = offset; at < end; at += scratch.length) {
      const want = Math.min(scratch.length, end - at);
      // Errors are left to the read that follows: it names them better and once.
      await new Promise<void>((resolve) => {
        readAsync(this.#fd, scratch, 0, want, this.#base + at, () => resolve());
      });
    }
  }

  #shortRead(offset: number, length: number, got: number): OverlaybdError {
    return new OverlaybdError(
      'SHORT_READ',
      `${this.name}: read of ${length} bytes at ${offset}: the file ends after ${Math.max(0, got)} of them`,
    );
  }

  #ioError(offset: number, length: number, errno: number): OverlaybdError {
    return new OverlaybdError(
      'IO',
      `${this.name}: read of ${length} bytes at ${offset}: ${errnoText(-errno)}; check the disk that holds it`,
    );
  }
}
