// Unused code, found by knip: files, exports, and packages of package.json.
//
// An export of daemon/ that only tests import is refused too, unless it is a constant, such as a limit that
// a test goes up to, or its comment has the tag @internal with the reason.

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { array, looseObject, number, optional, parse, string } from 'valibot';

const entries = optional(array(looseObject({ name: string(), line: optional(number(), 1) })), []);
const reportSchema = looseObject({
  issues: array(
    looseObject({
      file: string(),
      files: entries,
      exports: entries,
      types: entries,
      dependencies: entries,
      devDependencies: entries,
      unlisted: entries,
    }),
  ),
});

const KNIP = fileURLToPath(new URL('cli.js', import.meta.resolve('knip')));
const CONSTANT = /^[A-Z][A-Z0-9_]*$/;

/** @param root a folder with package.json and .knip.json */
export function findDeadExports(root: string): string[] {
  const unused = runKnip(root, ['--include', 'files,exports,types,dependencies,unlisted']);
  // Without the tests, and without exports that have the tag @internal.
  const production = runKnip(root, ['--production', '--include', 'files,exports,types']);
  const known = new Set(unused.map(({ at }) => at));
  return [
    ...unused.map(({ at, name }) => `${at}: nothing uses ${name}`),
    ...production
      .filter(({ at, name }) => !known.has(at) && !CONSTANT.test(name))
      .map(({ at, name }) => `${at}: only tests use ${name}; if they must: @internal and why`),
  ];
}

interface Unused {
  /** file:line */
  readonly at: string;
  readonly name: string;
}

function runKnip(root: string, args: readonly string[]): Unused[] {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [KNIP, '--directory', root, '--reporter', 'json', '--no-exit-code', '--no-progress', ...args],
    { encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(`knip: ${stderr}${stdout}`);
  return parse(reportSchema, JSON.parse(stdout)).issues.flatMap((issue) => {
    const { file, files, exports, types, dependencies, devDependencies, unlisted } = issue;
    const all = [files, exports, types, dependencies, devDependencies, unlisted].flat();
    return all.map(({ name, line }) => ({ at: `${file}:${line}`, name }));
  });
}
