// Checks what no compiler and no linter checks: walls between folders, and what nothing uses.
// Part of `npm run lint`.
// Usage: node out/test/walls/main.js [--write], which writes the table in docs/architecture.md.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findDeadExports } from './dead-exports.js';
import { withFolderTable } from './folder-table.js';
import { readModules } from './modules.js';
import { checkRooms, readPlan } from './rooms.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const DOCUMENT = 'docs/architecture.md';

const plan = readPlan(join(ROOT, 'test/walls/rooms.json'));
const problems = checkRooms(readModules(ROOT, 'daemon'), plan);

const document = readFileSync(join(ROOT, DOCUMENT), 'utf8');
const wanted = withFolderTable(document, plan);
if (wanted !== document) {
  if (process.argv.includes('--write')) writeFileSync(join(ROOT, DOCUMENT), wanted);
  else
    problems.push(`${DOCUMENT}: the table of folders differs from rooms.json: npm run walls:write`);
}

problems.push(...findDeadExports(ROOT));

for (const problem of problems) console.error(problem);
process.exitCode = problems.length > 0 ? 1 : 0;
