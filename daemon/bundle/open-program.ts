// The files of a program that may be needed later: open until they are read, then in memory. A package manager may replace
// the files while the program runs; the open ones are of the version that runs.

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { checkedCodeCache } from './code-cache.js';
import { bundleIdOf, bundleOf, ID_END, type ProgramFiles } from './compile.js';

export class OpenProgram {
  readonly #entry: string;
  readonly #text: OpenFile;
  readonly #cache: OpenFile | null;
  #files: ProgramFiles | null = null;

  /** @throws Error if the bundle cannot be opened */
  constructor(entry: string) {
    const { text, cache } = bundleOf(entry);
    this.#entry = entry;
    this.#text = new OpenFile(text);
    try {
      this.#cache = new OpenFile(cache);
    } catch {
      this.#cache = null;
    }
  }

  /** @throws Error if a file has changed since it was opened */
  files(): ProgramFiles {
    if (this.#files) return this.#files;
    const text = this.#text.read();
    const id = bundleIdOf(text.toString('latin1', 0, ID_END));
    const cache = this.#cache && checkedCodeCache(this.#cache.read(), id);
    this.#files = { entry: this.#entry, text, cache };
    this.#text.close();
    this.#cache?.close();
    return this.#files;
  }
}

class OpenFile {
  readonly #path: string;
  readonly #fd: number;
  readonly #size: number;
  readonly #mtimeMs: number;

  constructor(path: string) {
    this.#path = path;
    this.#fd = openSync(path, 'r');
    const { size, mtimeMs } = fstatSync(this.#fd);
    this.#size = size;
    this.#mtimeMs = mtimeMs;
  }

  /** @returns shared memory: threads get no copy of it */
  read(): Buffer {
    const bytes = Buffer.from(new SharedArrayBuffer(this.#size));
    let length = 0;
    for (let n = -1; length < bytes.length && n !== 0; length += n) {
      n = readSync(this.#fd, bytes, length, bytes.length - length, length);
    }
    const { size, mtimeMs } = fstatSync(this.#fd);
    if (length < bytes.length || size !== this.#size || mtimeMs !== this.#mtimeMs) {
      throw new Error(`${this.#path}: written to while the program runs; start the program again`);
    }
    return bytes;
  }

  close(): void {
    closeSync(this.#fd);
  }
}
