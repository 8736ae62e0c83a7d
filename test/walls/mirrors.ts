// Every file of daemon/ has a test of the same name below test/unit, or below test/component if the test starts
// processes or threads; or the file is listed in unmirrored.json with the test that covers it and, after a colon, the
// reason, or as constants. The list is right in both directions. Types need no test.

import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

/** For a file without functions, instead of a test. */
const CONSTANTS = 'constants';
/** How a reason begins that is no more than the name of the file whose test covers this one, too. */
const THROUGH = 'tested through ';
/** One that a module exports. Constants may be computed by others. */
const FUNCTION =
  /^export (?:async )?function\b|^export const \w+ = (?:async )?(?:\([^()]*\)|\w+) =>/m;

/**
 * @param files the files of daemon/, as "daemon/nbd/limits.ts"
 * @param listed by file: the test that covers it and the reason, or "constants"
 * @param codeOf what a file compiles to, without comments; "" if it has types only
 * @param exists whether there is a file of this name
 * @returns what is wrong, a line each
 */
export function checkMirrors(
  files: readonly string[],
  listed: Readonly<Record<string, string>>,
  codeOf: (file: string) => string,
  exists: (file: string) => boolean,
): string[] {
  const problems: string[] = [];
  for (const file of files) {
    const tests = mirrorsOf(file);
    const test = tests.find(exists);
    const isListed = Object.hasOwn(listed, file);
    if (test !== undefined && isListed)
      problems.push(`${file}: has ${test}: remove it from the list`);
    else if (test === undefined && !isListed && codeOf(file) !== '')
      problems.push(
        `${file}: no ${tests.join(', no ')}: write it, or list the file in unmirrored.json`,
      );
  }
  for (const [file, entry] of Object.entries(listed)) {
    const [test = '', reason = ''] = entry.split(': ', 2);
    if (!files.includes(file)) problems.push(`unmirrored.json: ${file}: no such file`);
    else if (test === CONSTANTS) {
      if (FUNCTION.test(codeOf(file)))
        problems.push(`unmirrored.json: ${file}: it has functions, which need a test`);
    } else if (!exists(test)) problems.push(`unmirrored.json: ${file}: no such test: ${test}`);
    else if (reason === '')
      problems.push(
        `unmirrored.json: ${file}: no reason after ${test}: why has it no test of its own?`,
      );
    else if (reason.startsWith(THROUGH)) {
      const through = fileOf(test);
      const said = reason.slice(THROUGH.length);
      if (!files.includes(through) || basename(through) !== said)
        problems.push(`unmirrored.json: ${file}: ${test} is not the test of a ${said} in daemon/`);
    }
  }
  return problems;
}

/** @param root of the project, built */
export function findMissingMirrors(root: string, files: readonly string[]): string[] {
  const list = JSON.parse(readFileSync(join(root, 'test/walls/unmirrored.json'), 'utf8'));
  const codeOf = (file: string): string => {
    const compiled = readFileSync(join(root, 'out', file.replace(/\.ts$/, '.js')), 'utf8');
    const lines = compiled.split('\n');
    return lines.filter((line) => !/^\s*($|\/\/|\/\*|\*)|^export \{\};$/.test(line)).join('\n');
  };
  return checkMirrors(files, list, codeOf, (file) => existsSync(join(root, file)));
}

/** @returns the file of daemon/ that a test of this name would be of */
function fileOf(test: string): string {
  return test.replace(/^test\/(?:unit|component)\//, 'daemon/').replace(/\.test\.ts$/, '.ts');
}

/** @param file as "daemon/nbd/limits.ts". @returns the names of its tests; one of them is enough */
export function mirrorsOf(file: string): string[] {
  const name = file.replace(/^daemon\//, '').replace(/\.ts$/, '.test.ts');
  return ['unit', 'component'].map((kind) => `test/${kind}/${name}`);
}
