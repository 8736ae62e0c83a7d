// Exports that nothing uses, or that only tests use, are refused.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import tap, { test, type Test } from 'tap';
import { findDeadExports } from '../../walls/dead-exports.js';

// Each case runs knip: on a busy machine tap's 30 seconds are too short.
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

await test('exports that are used are allowed', (t) => {
  const root = repository(t, {
    'daemon/main.ts': "import { used } from './a.js';\nused();\n",
    'daemon/a.ts':
      'export function used(): void {}\nexport const MAX_X = 5;\n/** @internal for its unit test */\nexport function inner(): void {}\n',
    'test/unit/a.test.ts':
      "import { MAX_X, inner } from '../../daemon/a.js';\nconsole.log(MAX_X, inner);\n",
  });
  t.same(findDeadExports(root), []);
  t.end();
});

await test('exports that nothing uses are refused', (t) => {
  const root = repository(t, {
    'daemon/main.ts': "import { used } from './a.js';\nused();\n",
    'daemon/a.ts':
      'export function used(): void {}\nexport function dead(): void {}\nexport const MAX_X = 5;\nexport type Dead = 5;\n',
    'daemon/b.ts': 'export const b = 1;\n',
    'test/unit/a.test.ts': "import { used } from '../../daemon/a.js';\nused();\n",
    'test/support/c.ts': 'export const c = 1;\n',
  });
  t.same(findDeadExports(root).toSorted(), [
    'daemon/a.ts:2: nothing uses dead',
    'daemon/a.ts:3: nothing uses MAX_X',
    'daemon/a.ts:4: nothing uses Dead',
    'daemon/b.ts:1: nothing uses daemon/b.ts',
    'test/support/c.ts:1: nothing uses test/support/c.ts',
  ]);
  t.end();
});

await test('exports that only tests use are refused', (t) => {
  const root = repository(t, {
    'daemon/main.ts': "import { used } from './a.js';\nused();\n",
    'daemon/a.ts': 'export function used(): void {}\nexport function inner(): void {}\n',
    'daemon/b.ts': 'export const b = 1;\n',
    'test/unit/a.test.ts':
      "import { inner } from '../../daemon/a.js';\nimport { b } from '../../daemon/b.js';\nconsole.log(inner, b);\n",
  });
  t.match(findDeadExports(root).toSorted(), [
    /^daemon\/a\.ts:2: only tests use inner/,
    /^daemon\/b\.ts:1: only tests use daemon\/b\.ts/,
  ]);
  t.end();
});
