// The digest of a bundle's inputs changes with each input, and with nothing else.

import { mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { digestOfInputs } from '../../../../daemon/bundle/tools/inputs.js';

await test('the digest depends on names and contents of the inputs only', (t) => {
  const folder = t.testdir({ lock: '{}', modules: { 'main.js': 'a', nbd: { 'x.js': 'b' } } });
  const modules = join(folder, 'modules');
  const lock = join(folder, 'lock');
  const seen = new Set<string>();
  const isNew = (what: string): void => {
    const digest = digestOfInputs(modules, lock);
    t.notOk(seen.has(digest), what);
    seen.add(digest);
  };

  isNew('at first');
  utimesSync(join(modules, 'main.js'), 1, 1);
  writeFileSync(join(modules, 'main.js.map'), 'not a module');
  t.ok(seen.has(digestOfInputs(modules, lock)), 'times and other files do not count');

  writeFileSync(join(modules, 'nbd/x.js'), 'bb');
  isNew('a module that changed');
  writeFileSync(join(modules, 'main.js'), 'ab');
  writeFileSync(join(modules, 'nbd/x.js'), 'b');
  isNew('bytes that moved from one module to another');
  mkdirSync(join(modules, 'lib'));
  writeFileSync(join(modules, 'lib/y.js'), '');
  isNew('a new module, though it is empty');
  rmSync(join(modules, 'lib/y.js'));
  rmSync(join(modules, 'main.js'));
  isNew('a module that is gone');
  writeFileSync(lock, '{ }');
  isNew('other packages');
  t.end();
});
