#!/usr/bin/env node
// The entry of each bundled program: esbuild makes out/bundle/main.js and its reactor/worker.js of
// this. As a module of its own it is of no use.

import { refusal } from './inspector.js';
import { compileProgram } from './compile.js';

if (refusal === null) {
  compileProgram(__filename).run();
} else {
  console.error(`overlaybd-nbd: ${refusal}`);
  process.exitCode = 1;
}
