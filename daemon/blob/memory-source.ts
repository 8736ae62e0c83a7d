// Bytes in memory that all threads share as a blob source: the metadata of a file system that the daemon has made.

import { shortRead } from './file-jobs.js';
import type { BlobSource } from './source.js';

export interface MemorySpec {
  readonly kind: 'memory';
  /** For messages. */
  readonly name: string;
  readonly memory: SharedArrayBuffer;
  /** SHA-256 of the bytes, in hexadecimal; absent if nothing compares it. */
  readonly digest?: string;
}

export class MemorySource implements BlobSource {
  readonly name: string;
  readonly size: number;
  readonly isLocal = true;
  readonly #bytes: Uint8Array;

  constructor({ name, memory }: MemorySpec) {
    this.name = name;
    this.size = memory.byteLength;
    this.#bytes = new Uint8Array(memory);
  }

  ensure(offset: number, length: number): null {
    this.#check(offset, length);
    return null;
  }

  read(offset: number, length: number, dst: Uint8Array, at: number): boolean {
    this.#check(offset, length);
    dst.set(this.#bytes.subarray(offset, offset + length), at);
    return true;
  }

  load(offset: number, length: number): Promise<void> {
    return new Promise((resolve) => {
      this.#check(offset, length);
      resolve();
    });
  }

  prefetch(): Promise<void> {
    return Promise.resolve();
  }

  #check(offset: number, length: number): void {
    if (offset + length <= this.size) return;
    throw shortRead(this.name, offset, length, this.size - offset);
  }
}
