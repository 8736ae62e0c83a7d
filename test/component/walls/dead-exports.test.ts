// Exports that nothing uses, or that only tests use, are refused.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import tap, { test, type Test } from 'tap';
import { findDeadExports } from '../../walls/dead-exports.js';

// knip runs twice: on a busy machine tap's 30 seconds are too short.
tap.setTimeout(300_000);

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url));

/** A repository with the project's knip settings and these files. */
function repository(t: Test, files: Record<string, string>): string {
  const root = t.testdir();
  const all = {
    '.knip.json': readFileSync(join(ROOT, '.knip.json'), 'utf8'),
    'package.json': '{ "name": "example", "type": "module", "dependencies": {} }',
    'tsconfig.json': readFileSync(join(ROOT, 'tsconfig.json'), 'utf8'),
    'daemon/reactor/worker.ts': '',
    ...files,
  };
  for (const [path, text] of Object.entries(all)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

await test('exports that nothing uses, or only tests, are refused, and others are not', (t) => {
  const root = repository(t, {
    'daemon/main.ts':
      "import { used } from './a.js';\nimport { one } from './mixed.js';\nused();\none();\n",
    'daemon/a.ts':
      'export function used(): void {}\nexport const MAX_X = 5;\n/** @internal for its unit test */\nexport function inner(): void {}\n',
    'daemon/mixed.ts':
      'export function one(): void {}\nexport function dead(): void {}\nexport const MAX_Y = 5;\nexport type Dead = 5;\nexport function tested(): void {}\n',
    'daemon/b.ts': 'export const b = 1;\n',
    'daemon/c.ts': 'export const c = 1;\n',
    'test/unit/a.test.ts': `import { MAX_X, inner, used } from '../../daemon/a.js';
import { c } from '../../daemon/c.js';
import { tested } from '../../daemon/mixed.js';
console.log(MAX_X, inner, used, c, tested);
`,
    'test/support/d.ts': 'export const d = 1;\n',
  });
  const found = findDeadExports(root).toSorted();
  t.match(found, [
    'daemon/b.ts:1: nothing uses daemon/b.ts',
    /^daemon\/c\.ts:1: only tests use daemon\/c\.ts/,
    'daemon/mixed.ts:2: nothing uses dead',
    'daemon/mixed.ts:3: nothing uses MAX_Y',
    'daemon/mixed.ts:4: nothing uses Dead',
    /^daemon\/mixed\.ts:5: only tests use tested/,
    'test/support/d.ts:1: nothing uses test/support/d.ts',
  ]);
  t.equal(found.length, 7, found.join('\n'));
  t.end();
});
