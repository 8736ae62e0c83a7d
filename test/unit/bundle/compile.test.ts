// The bundle's code caches: taken when they are its own, and never needed.
import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'tap';
import { bundleOf, compileProgram } from '../../../daemon/bundle/compile.js';

const BUNDLE = fileURLToPath(new URL('../../../bundle/', import.meta.url));

await test('the caches that the build makes fit what it makes them of', (t) => {
  for (const name of ['main.js', 'reactor/worker.js']) {
    const { script } = compileProgram(join(BUNDLE, name));
    t.equal(script.cachedDataRejected, false, name);
  }
  t.end();
});

await test('a cache that is missing, of another bundle or cut short is no error', (t) => {
  const entry = join(t.testdir({}), 'main.js');
  const { text, cache } = bundleOf(entry);
  const built = bundleOf(join(BUNDLE, 'main.js'));
  const good = readFileSync(built.cache);
  copyFileSync(built.text, text);
  const rejected = (bytes: Buffer): boolean | undefined => {
    writeFileSync(cache, bytes);
    return compileProgram(entry).script.cachedDataRejected;
  };
  t.equal(rejected(good), false);
  t.equal(rejected(good.subarray(0, 100_000)), true, 'cut short');
  t.equal(rejected(Buffer.alloc(0)), undefined, 'empty');
  const other = Buffer.from(good);
  other.write('0123456789abcdef');
  t.equal(rejected(other), undefined, 'of another bundle');
  rmSync(cache);
  t.equal(compileProgram(entry).script.cachedDataRejected, undefined, 'missing');
  t.end();
});
