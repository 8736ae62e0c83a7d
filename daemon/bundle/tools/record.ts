// Runs the bundled program as start.ts does, and writes the code caches when it ends: by then everything
// that a start needs is compiled. Usage: node record.js MAIN WORKER ARGUMENTS...

import { writeCodeCache } from '../code-cache.js';
import { bundleOf, compileProgram, readProgram, type CompiledProgram } from '../compile.js';
import { threadStarter } from '../threads.js';

const [main = '', worker = ''] = process.argv.slice(2);
// The program sees its own arguments only.
process.argv.splice(1, 3, main);

const program = compileProgram(readProgram(main));
process.on('exit', () => writeCache(main, program));
// The worker runs in other threads. What V8 compiles at once is most of what it needs.
writeCache(worker, compileProgram(readProgram(worker)));
program.run(threadStarter(main));

function writeCache(entry: string, { id, script }: CompiledProgram): void {
  writeCodeCache(bundleOf(entry).cache, id, script.createCachedData());
}
