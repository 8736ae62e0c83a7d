// Starts the threads of a bundled program from memory. A package manager may replace the files while the program
// runs, and a thread of another version would not understand its messages.

import { closeSync, existsSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { THREAD_ENTRIES, bundleOf, type ProgramFiles, type StartThread } from './compile.js';

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
        programs.set(path, sharedProgram(path));
      }
    }
    const program = programs.get(fileURLToPath(entry));
    if (!program) throw new Error(`${entry.href}: not the entry of a thread`);
    return new Worker(start, { ...options, eval: true, workerData: program });
  };
}

/** In shared memory: threads get no copy of it. */
function sharedProgram(entry: string): ProgramFiles {
  const { text, cache } = bundleOf(entry);
  return { entry, text: readShared(text), cache: existsSync(cache) ? readShared(cache) : null };
}

function readShared(path: string): Uint8Array {
  const fd = openSync(path, 'r');
  try {
    const bytes = new Uint8Array(new SharedArrayBuffer(fstatSync(fd).size));
    for (let at = 0, n = -1; at < bytes.length && n !== 0; at += n) {
      n = readSync(fd, bytes, at, bytes.length - at, null);
    }
    return bytes;
  } finally {
    closeSync(fd);
  }
}
