// Which test files get a process of their own, and that the list names what exists.
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'tap';
import { ownProcesses, reasonsOf } from '../../runner/own-process.js';

const ROOT = resolve(import.meta.dirname, '../../../..');

await test('every entry is a test file or a folder of them, with a reason', async (t) => {
  for (const [name, reason] of Object.entries(reasonsOf(ROOT))) {
    t.match(name, /^test\/(unit|component)\/.*(\/|\.test\.ts)$/);
    t.ok(existsSync(join(ROOT, name)), name);
    t.ok(reason.length > 10, `${name}: ${reason}`);
  }
});

await test('unit and component tests share processes, unless they are listed', async (t) => {
  const isAlone = ownProcesses(join(ROOT, 'out'));
  t.equal(isAlone(join(ROOT, 'out/test/unit/nbd/reads.test.js')), false);
  t.equal(isAlone(join(ROOT, 'out/test/component/log/stderr-lines.test.js')), true);
  t.equal(isAlone(join(ROOT, 'out/test/unit/native/memory.test.js')), true, 'its folder is listed');
  t.equal(isAlone(join(ROOT, 'out/test/e2e/serve.test.js')), true);
  t.equal(isAlone(join(ROOT, 'out/test/property/fuzz.test.js')), true);
});
