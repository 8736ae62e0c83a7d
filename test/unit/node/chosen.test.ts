// Which tests run with which release of Node.js, and that the lists name what exists.
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'tap';
import { chosenTests, testsFor } from '../../node/chosen.js';

const ROOT = resolve(import.meta.dirname, '../../../..');

await test('every entry is a test file or a folder of them, with a reason', async (t) => {
  const { every, newest } = chosenTests(ROOT);
  for (const [name, reason] of [...Object.entries(every), ...Object.entries(newest)]) {
    t.match(name, /^test\/(unit|component|e2e)\/(.*\/|.*\.test\.ts)?$/);
    t.ok(existsSync(join(ROOT, name)), name);
    t.ok(reason.length >= 8, `${name}: ${reason}`);
  }
  for (const name of Object.keys(newest)) t.notOk(Object.hasOwn(every, name), `${name}: twice`);
});

await test('what a release runs', async (t) => {
  const chosen = {
    every: { 'test/unit/native/': 'the addon', 'test/e2e/serve.test.ts': 'the program' },
    newest: { 'test/e2e/reload.test.ts': 'signals' },
  };
  t.same(testsFor(chosen, 'every'), ['out/test/unit/native/', 'out/test/e2e/serve.test.js']);
  t.same(testsFor(chosen, 'newest'), [
    'out/test/unit/native/',
    'out/test/e2e/serve.test.js',
    'out/test/e2e/reload.test.js',
  ]);
  t.throws(() => testsFor(chosen, 'newer'), /no such list: newer/);
});
