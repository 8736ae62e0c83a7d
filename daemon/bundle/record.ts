// Runs the bundled program as start.ts does, and writes the code caches when it ends: by then what a
// start needs is compiled. Part of the build. Usage: node record.js MAIN WORKER ARGUMENTS...

import { writeCodeCache } from './code-cache.js';
import { bundleOf, compileProgram, type CompiledProgram } from './compile.js';

const [main = '', worker = ''] = process.argv.slice(2);
// The program sees its own arguments only.
process.argv.splice(1, 3, main);

const program = compileProgram(main);
process.on('exit', () => writeCache(main, program));
// Runs in other threads; what is compiled at once is most of what it needs.
writeCache(worker, compileProgram(worker));
program.run();

function writeCache(entry: string, { id, script }: CompiledProgram): void {
  writeCodeCache(bundleOf(entry).cache, id, script.createCachedData());
}
