// The rest of a program: read when it is first needed, and only if it is that of the start.
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { bundleOf, bundleText } from '../../../daemon/bundle/compile.js';
import { Rest, restEntryOf } from '../../../daemon/bundle/rest.js';

const ID = 'a'.repeat(32);
const CODE = `link.offer({
  'twice.js': () => ({ twice: () => 2 * link.shared('lib.js', 'value') }),
  'once.js': () => ({ once: () => link.shared('lib.js', 'value') }),
});`;

interface Program {
  readonly rest: Rest;
  /** The path of the bundle of the rest. */
  readonly path: string;
}

function programOf(t: Test, text: string | null = bundleText(CODE, ID)): Program {
  const entry = join(t.testdir({}), 'main.js');
  const { text: path } = bundleOf(restEntryOf(entry));
  if (text !== null) writeFileSync(path, text);
  return { rest: new Rest(entry), path };
}

function valueOf(rest: Rest, path: string, name: string): unknown {
  return (rest.load(path) as Record<string, () => unknown>)[name]?.();
}

await test('modules of the rest use those of the start, which are taken when they are needed', (t) => {
  const { rest } = programOf(t);
  let taken = 0;
  const lib = (): object => {
    taken++;
    return { value: 21 };
  };
  rest.provide(ID, { 'lib.js': lib });
  t.equal(taken, 0);
  t.equal(valueOf(rest, 'twice.js', 'twice'), 42);
  t.equal(valueOf(rest, 'once.js', 'once'), 21);
  t.equal(taken, 1);
  t.throws(() => rest.load('none.js'), { message: 'none.js: not in this program' });
  t.end();
});

await test('the files that were there at the start are read', (t) => {
  const { rest, path } = programOf(t);
  rest.provide(ID, { 'lib.js': () => ({ value: 1 }) });
  writeFileSync(`${path}.new`, 'not the program');
  renameSync(`${path}.new`, path);
  t.equal(valueOf(rest, 'twice.js', 'twice'), 2);
  t.end();
});

await test('what is not the rest of this program is refused, and each time', (t) => {
  const other = programOf(t, bundleText(CODE, 'b'.repeat(32)));
  const changed = programOf(t);
  writeFileSync(changed.path, 'not the program');
  const missing = programOf(t, null);
  const removed = programOf(t);
  rmSync(removed.path);
  for (const [program, message] of [
    [other, /main\.rest\.js: not of the version that runs; start the program again/],
    [changed, /main\.rest\.bundle: written to while the program runs/],
    [missing, /ENOENT.*main\.rest\.bundle/],
  ] as const) {
    program.rest.provide(ID, {});
    for (let i = 0; i < 2; i++) {
      t.throws(() => program.rest.load('once.js'), { message, stack: /^[^\n]*$/ });
    }
  }
  removed.rest.provide(ID, { 'lib.js': () => ({ value: 3 }) });
  t.equal(valueOf(removed.rest, 'once.js', 'once'), 3, 'a file that is gone is still open');
  t.end();
});
