// Every file of daemon/ has a test of the same name below test/unit, or below test/component if the test starts
// processes or threads; or the file is listed in unmirrored.json with the test that covers it, or as constants. A reason may follow the test after a colon. The list is right in both
// directions. Types need no test.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** For a file without code to test, in place of a test. */
const CONSTANTS = 'constants';

/**
 * @param files the files of daemon/, as "daemon/nbd/limits.ts"
 * @param listed by file: the test that covers it and a reason, or "constants"
 * @param hasCode whether a file compiles to more than types
 * @param exists whether there is a file of this name
 * @returns what is wrong, a line each
 */
export function checkMirrors(
  files: readonly string[],
  listed: Readonly<Record<string, string>>,
  hasCode: (file: string) => boolean,
  exists: (file: string) => boolean,
): string[] {
  const problems: string[] = [];
  for (const file of files) {
    const tests = mirrorsOf(file);
    const test = tests.find(exists);
    const isListed = Object.hasOwn(listed, file);
    if (test !== undefined && isListed)
      problems.push(`${file}: has ${test}: remove it from the list`);
    else if (test === undefined && !isListed && hasCode(file))
      problems.push(
        `${file}: no ${tests.join(', no ')}: write it, or list the file in unmirrored.json`,
      );
  }
  for (const [file, entry] of Object.entries(listed)) {
    const [test = ''] = entry.split(': ', 1);
    if (!files.includes(file)) problems.push(`unmirrored.json: ${file}: no such file`);
    if (test !== CONSTANTS && !exists(test))
      problems.push(`unmirrored.json: ${file}: no such test: ${test}`);
  }
  return problems;
}

/** @param root of the project, built */
export function findMissingMirrors(root: string, files: readonly string[]): string[] {
  const list = JSON.parse(readFileSync(join(root, 'test/walls/unmirrored.json'), 'utf8'));
  const hasCode = (file: string): boolean => {
    const compiled = readFileSync(join(root, 'out', file.replace(/\.ts$/, '.js')), 'utf8');
    return compiled.split('\n').some((line) => !/^\s*($|\/\/|\/\*|\*)|^export \{\};$/.test(line));
  };
  return checkMirrors(files, list, hasCode, (file) => existsSync(join(root, file)));
}

/** @param file as "daemon/nbd/limits.ts". @returns the names of its tests; one of them is enough */
export function mirrorsOf(file: string): string[] {
  const name = file.replace(/^daemon\//, '').replace(/\.ts$/, '.test.ts');
  return ['unit', 'component'].map((kind) => `test/${kind}/${name}`);
}
