// Checks that no compiler and no linter makes: walls between folders, unused exports, broken references, files without
// a unit test, what docs/architecture.md and daemon/native/ say about the addon. Part of `npm run lint`. Usage: node out/test/walls/main.js [--write], which writes the table in
// docs/architecture.md.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findDeadExports } from './dead-exports.js';
import { withFolderTable } from './folder-table.js';
import { findMissingMirrors } from './mirrors.js';
import { readModules } from './modules.js';
import { checkNative } from './native.js';
import { checkReferences } from './references.js';
import { checkRooms, findUnused, readPlan } from './rooms.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const DOCUMENT = 'docs/architecture.md';

const plan = readPlan(join(ROOT, 'test/walls/rooms.json'));
const modules = readModules(ROOT, 'daemon');
const problems = [...checkRooms(modules, plan), ...findUnused(modules, plan)];

const document = readFileSync(join(ROOT, DOCUMENT), 'utf8');
const wanted = withFolderTable(document, plan);
if (wanted !== document) {
  if (process.argv.includes('--write')) writeFileSync(join(ROOT, DOCUMENT), wanted);
  else
    problems.push(`${DOCUMENT}: the table of folders differs from rooms.json: npm run walls:write`);
}

problems.push(...checkReferences(readTexts(ROOT)), ...findDeadExports(ROOT));
const files = modules.map(({ path }) => path);
problems.push(...checkNative(ROOT, files), ...findMissingMirrors(ROOT, files));

for (const problem of problems) console.error(problem);
process.exitCode = problems.length > 0 ? 1 : 0;

/** The files that git has or would add, except binary and deleted ones. */
function readTexts(root: string): Map<string, string> {
  const list = ['ls-files', '--cached', '--others', '--exclude-standard'];
  const names = execFileSync('git', list, { cwd: root, encoding: 'utf8' }).trim().split('\n');
  const texts = new Map<string, string>();
  for (const name of names) {
    if (!existsSync(join(root, name))) continue;
    texts.set(name, readFileSync(join(root, name), 'utf8'));
  }
  return texts;
}
