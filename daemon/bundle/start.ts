#!/usr/bin/env node
// The entry of each bundled program: esbuild makes out/bundle/main.js and its reactor/worker.js of
// this. As a module of its own it is of no use.

import { compileProgram } from './compile.js';

compileProgram(__filename).run();
