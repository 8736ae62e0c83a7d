#!/usr/bin/env node
// The entry of each bundled program: esbuild turns this file into out/bundle/main.js, reactor/worker.js,
// opener/worker.js and fetch/worker.js. It is not run as a module. Threads get its text, and the files of
// their program, from memory (threads.ts).

import { isMainThread, workerData } from 'node:worker_threads';
import { refusal } from './inspector.js';
import { compileProgram, readProgram, type ProgramFiles } from './compile.js';
import { Rest } from './rest.js';
import { threadStarter } from './threads.js';

if (refusal !== null) {
  console.error(`overlaybd-nbd: ${refusal}`);
  process.exitCode = 1;
} else if (isMainThread) {
  compileProgram(readProgram(__filename)).run(threadStarter(__filename), new Rest(__filename));
} else {
  compileProgram(workerData as ProgramFiles).run();
}
