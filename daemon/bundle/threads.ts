// Starts the threads of a bundled program from the files that it was started with. A package manager may replace
// the files while the program runs, and a thread of another version would not understand its messages.

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { THREAD_ENTRIES, type ProgramFiles, type StartThread } from './compile.js';
import { OpenProgram } from './open-program.js';

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
