// Starts the threads of a bundled program from the files that it was started with. A package manager may replace
// the files while the program runs, and a thread of another version would not understand its messages.

import { closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { checkedCodeCache } from './code-cache.js';
import {
  ID_END,
  THREAD_ENTRIES,
  bundleIdOf,
  bundleOf,
  type ProgramFiles,
  type StartThread,
} from './compile.js';

/**
 * Opens the programs of all threads before the first thread starts. Most commands start none. A program is read
 * when its first thread starts: most daemons never start the fetcher, which is the largest.
 * @param main the entry of the program
 */
export function threadStarter(main: string): StartThread {
  let start = '';
  const programs = new Map<string, OpenProgram>();
  return (entry, options) => {
    if (programs.size === 0) {
      start = readFileSync(main, 'utf8');
      for (const name of THREAD_ENTRIES) {
        const path = join(dirname(main), `${name}.js`);
        programs.set(path, new OpenProgram(path));
      }
    }
    const program = programs.get(fileURLToPath(entry));
    if (!program) throw new Error(`${entry.href}: not the entry of a thread`);
    let workerData: ProgramFiles;
    try {
      workerData = program.files();
    } catch (error) {
      return failedThread(error);
    }
    return new Worker(start, { ...options, eval: true, workerData });
  };
}

/**
 * Fails as a thread does: the code that starts threads handles that. The error has no stack, because its cause is
 * outside the program.
 */
function failedThread(error: unknown): Worker {
  const { message } = error as Error;
  const shown = JSON.stringify(message);
  const code = `throw Object.assign(new Error(${shown}), { stack: ${shown} });`;
  return new Worker(code, { eval: true });
}

/** The files of a thread's program: open until they are read, then in memory. */
class OpenProgram {
  readonly #entry: string;
  readonly #text: OpenFile;
  readonly #cache: OpenFile | null;
  #files: ProgramFiles | null = null;

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
