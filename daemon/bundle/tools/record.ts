// Runs the bundled program as start.ts does, and writes the code caches when it is asked to end: by then what a
// start needs is compiled, and what ends a daemon is not. Usage: node record.js MAIN WORKER ARGUMENTS...

import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { writeCodeCache } from '../code-cache.js';
import { bundleOf, compileProgram, readProgram, type StartThread } from '../compile.js';
import { Rest } from '../rest.js';
import { threadStarter } from '../threads.js';

const THREAD = new URL('record-thread.js', import.meta.url);

const [main = '', worker = ''] = process.argv.slice(2);
// The program sees its own arguments only.
process.argv.splice(1, 3, main);

const program = compileProgram(readProgram(main));
// Before the program, which listens, too.
process.once('SIGTERM', () => {
  writeCodeCache(bundleOf(main).cache, program.id, program.script.createCachedData());
});
const startThread = threadStarter(main);
const startRecorded: StartThread = (entry, options) => {
  const isRecorded = fileURLToPath(entry) === worker;
  return isRecorded
    ? new Worker(THREAD, { ...options, workerData: worker })
    : startThread(entry, options);
};
program.run(startRecorded, new Rest(main));
