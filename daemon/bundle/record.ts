// Runs the bundled program as start.ts does, and writes the code caches when it ends: by then what a
// start needs is compiled. Part of the build. Usage: node record.js MAIN WORKER ARGUMENTS...

import { readFileSync, writeFileSync } from 'node:fs';
import type { Script } from 'node:vm';
import { bundleOf, compileProgram, ID_LENGTH } from './compile.js';

const [main = '', worker = ''] = process.argv.slice(2);
// The program sees its own arguments only.
process.argv.splice(1, 3, main);

const program = compileProgram(main);
process.on('exit', () => writeCache(main, program.script));
// Runs in other threads; what is compiled at once is most of what it needs.
writeCache(worker, compileProgram(worker).script);
program.run();

function writeCache(entry: string, script: Script): void {
  const { text, cache } = bundleOf(entry);
  const id = readFileSync(text).subarray(0, ID_LENGTH);
  writeFileSync(cache, Buffer.concat([id, script.createCachedData()]));
}
