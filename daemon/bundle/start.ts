#!/usr/bin/env node
// The entry of each bundled program: esbuild turns this file into out/bundle/main.js, reactor/worker.js,
// image/opener-thread.js and fetch/worker.js. It is not run as a module.

import { refusal } from './inspector.js';
import { compileProgram } from './compile.js';

if (refusal === null) {
  compileProgram(__filename).run();
} else {
  console.error(`overlaybd-nbd: ${refusal}`);
  process.exitCode = 1;
}
