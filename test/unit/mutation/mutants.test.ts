// The list of mutants fits the compiled daemon: every use of a limit has one, and the tests are there.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'tap';
import { makeMutants } from '../../mutation/mutants.js';

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url));

await test('every mutant differs from the original, and has tests or a reason', async (t) => {
  const mutants = await makeMutants(ROOT);
  const names = new Set(mutants.map(({ name }) => name));
  t.equal(names.size, mutants.length);
  t.ok(names.has('nbd/handshake MAX_OPTION_LENGTH: value * 2'));
  t.ok(names.has('nbd/data-replies MIN_UNCOPIED_LENGTH: value / 2'));
  for (const { name, file, tests, survives, apply } of mutants) {
    const text = readFileSync(join(ROOT, file), 'utf8');
    t.not(apply(text), text, name);
    t.ok(tests.length > 0 || survives !== undefined, `${name}: has tests`);
    for (const each of tests) t.ok(existsSync(join(ROOT, each)), each);
  }
});
