// Starts the threads of a bundled program from memory. A package manager may replace the files while the program
// runs, and a thread of another version would not understand its messages.

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { THREAD_ENTRIES, readProgram, type ProgramFiles, type StartThread } from './compile.js';

/**
 * Reads the programs of all threads before the first thread starts. Most commands start none.
 * @param main the entry of the program
 */
export function threadStarter(main: string): StartThread {
  let start = '';
  const programs = new Map<string, ProgramFiles>();
  return (entry, options) => {
    if (programs.size === 0) {
      start = readFileSync(main, 'utf8');
      for (const name of THREAD_ENTRIES) {
        const path = join(dirname(main), `${name}.js`);
        programs.set(path, inSharedMemory(readProgram(path)));
      }
    }
    const program = programs.get(fileURLToPath(entry));
    if (!program) throw new Error(`${entry.href}: not the entry of a thread`);
    return new Worker(start, { ...options, eval: true, workerData: program });
  };
}

/** Threads get no copy of it. */
function inSharedMemory({ entry, text, cache }: ProgramFiles): ProgramFiles {
  return { entry, text: shared(text), cache: cache && shared(cache) };
}

function shared(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(new SharedArrayBuffer(bytes.length));
  copy.set(bytes);
  return copy;
}
