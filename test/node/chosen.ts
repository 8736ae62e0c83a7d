// Which tests run with which release of Node.js: the oldest runs all, and tests.json names those of the others, with the
// reasons.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Each list names tests as "test/e2e/tls.test.ts" or folders as "test/unit/native/", with the reason. */
export interface Chosen {
  /** With every release. */
  readonly every: Readonly<Record<string, string>>;
  /** With the newest release, in addition to those of `every`. */
  readonly newest: Readonly<Record<string, string>>;
}

/** @param root of the project */
export function chosenTests(root: string): Chosen {
  return JSON.parse(readFileSync(join(root, 'test/node/tests.json'), 'utf8')) as Chosen;
}

/** @param which a list of these. @returns compiled tests and folders of them */
export function testsFor({ every, newest }: Chosen, which: string): string[] {
  if (which !== 'newest' && which !== 'every') throw new Error(`no such list: ${which}`);
  const names = Object.keys(which === 'newest' ? { ...every, ...newest } : every);
  return names.map((name) => `out/${name.replace(/\.ts$/, '.js')}`);
}
