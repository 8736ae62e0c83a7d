// Runs a command of the bundled program as start.ts does, and writes the code cache of the rest at its end.
// Usage: node record-command.js MAIN ARGUMENTS...

import { writeCodeCache } from '../code-cache.js';
import { bundleOf, compileProgram, readProgram } from '../compile.js';
import { Rest, restEntryOf } from '../rest.js';
import { threadStarter } from '../threads.js';

const main = process.argv[2] ?? '';
// The program sees its own arguments only.
process.argv.splice(1, 2, main);

const rest = new Rest(main);
process.once('exit', () => {
  const { program } = rest;
  if (!program) return;
  const data = program.script.createCachedData();
  writeCodeCache(bundleOf(restEntryOf(main)).cache, program.id, data);
});
compileProgram(readProgram(main)).run(threadStarter(main), rest);
