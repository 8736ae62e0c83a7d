// Runs the bundled program of a thread as start.ts does, and writes its code cache when it gets that message, or when it
// must drain, as a reactor does: by then all code that it needs is compiled.

import { parentPort, workerData } from 'node:worker_threads';
import { writeCodeCache } from '../code-cache.js';
import { bundleOf, compileProgram, readProgram } from '../compile.js';

const entry = workerData as string;
const program = compileProgram(readProgram(entry));

// Before the program, which listens, too, and does not know the first message.
parentPort?.on('message', ({ type }: { type: string }) => {
  if (type !== 'write cache' && type !== 'drain') return;
  writeCodeCache(bundleOf(entry).cache, program.id, program.script.createCachedData());
  if (type === 'write cache') process.exit(0);
});
program.run();
