// The mutants: one for each use of each number in a file of limits, and the replacements of the table.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { mirrorsOf } from '../walls/mirrors.js';
import { limitImportsOf, mutateImport, replaceOnce } from './mutate.js';
import { EXCEPTIONS, REPLACEMENTS } from './table.js';

export interface Mutant {
  readonly name: string;
  /** Whether it changes a constant of a file of limits. */
  readonly isLimit: boolean;
  /** The compiled file, from the root. */
  readonly file: string;
  /** Compiled tests, from the root. */
  readonly tests: readonly string[];
  /** The reason why it survives, if it does. */
  readonly survives?: string | undefined;
  /** @throws if the text is not as the table expects */
  readonly apply: (text: string) => string;
}

/** @param root a folder with out/daemon, test/unit, test/component and test/walls. @throws if the table names what is not there */
export async function makeMutants(root: string): Promise<Mutant[]> {
  const mutants: Mutant[] = [];
  const unused = new Set(Object.keys(EXCEPTIONS));
  for (const { user, constant, value } of await usesOf(root)) {
    for (const [member, expression] of changesOf(constant, value)) {
      const key = `${user} ${constant}${member}`;
      unused.delete(key);
      const { expression: other, tests = [], survives } = EXCEPTIONS[key] ?? {};
      const chosen = other ?? expression;
      mutants.push({
        name: `${key}: ${chosen}`,
        isLimit: true,
        file: `out/daemon/${user}.js`,
        tests: testsOf(root, user, tests),
        survives,
        apply: (text) => mutateImport(text, constant, chosen),
      });
    }
  }
  if (unused.size > 0) throw new Error(`no such use of a limit: ${[...unused].join(', ')}`);
  for (const { name, user, part, by, survives } of REPLACEMENTS) {
    mutants.push({
      name: `${user} ${name}`,
      isLimit: false,
      file: `out/daemon/${user}.js`,
      tests: testsOf(root, user, []),
      survives,
      apply: (text) => replaceOnce(text, part, by),
    });
  }
  return mutants;
}

interface Use {
  readonly user: string;
  readonly constant: string;
  readonly value: unknown;
}

async function usesOf(root: string): Promise<Use[]> {
  const base = join(root, 'out/daemon');
  const uses: Use[] = [];
  for (const name of readdirSync(base, { recursive: true, encoding: 'utf8' }).toSorted()) {
    // A limit that is made of another one is no user: what is tested is its own value.
    if (!name.endsWith('.js') || name.endsWith('/limits.js')) continue;
    const path = join(base, name);
    for (const { module, constants } of limitImportsOf(readFileSync(path, 'utf8'))) {
      const url = new URL(module, pathToFileURL(path));
      const values = (await import(url.href)) as Record<string, unknown>;
      const user = name.slice(0, -'.js'.length);
      for (const constant of constants) uses.push({ user, constant, value: values[constant] });
    }
  }
  return uses;
}

/** @returns one change of a number; for an object with numbers, one for each of them, with its name */
function changesOf(constant: string, value: unknown): [member: string, expression: string][] {
  if (typeof value === 'number')
    return [['', constant.startsWith('MIN_') ? 'value / 2' : 'value * 2']];
  return Object.entries(value ?? {})
    .filter(([, each]) => typeof each === 'number')
    .map(([name, each]) => [
      `.${name}`,
      `({ ...value, ${name}: ${each === 0 ? 1 : `value.${name} * 2`} })`,
    ]);
}

function testsOf(root: string, user: string, others: readonly string[]): string[] {
  const source = `daemon/${user}.ts`;
  const list = JSON.parse(
    readFileSync(join(root, 'test/walls/unmirrored.json'), 'utf8'),
  ) as Readonly<Record<string, string>>;
  const listed = list[source];
  const mirrors = [
    // After the test stands why the file has none of its own.
    listed === undefined ? mirrorsOf(source) : listed.split(': ', 1),
    ...others.map((name) => mirrorsOf(`daemon/${name}.ts`)),
  ];
  return mirrors
    .map((names) => {
      const test = names.find((name) => existsSync(join(root, name)));
      if (test === undefined) throw new Error(`no ${names.join(', no ')}`);
      return test;
    })
    .filter((test) => /^test\/(unit|component)\//.test(test))
    .map((test) => `out/${test.replace(/\.ts$/, '.js')}`);
}
