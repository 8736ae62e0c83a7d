// The native addon: the table of its files in docs/architecture.md has all of them, and the daemon calls everything that the
// addon exports.

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const DOCUMENT = 'docs/architecture.md';
const TABLE = /^\| files in `native\/src`.*\n(?:\|.*\n)+/m;
/** A member of an interface: its comment, if it has one, and its name. */
const MEMBER = /(?:\/\*\*((?:(?!\*\/)[^])*)\*\/\s*)?^ {2}(?:readonly )?(\w+)\??[(:]/gm;
const INTERFACE = /^(?:export )?interface \w+[^{]*\{\n([^]*?)^\}/gm;

/**
 * @param sources names of files of native/src
 * @param document the text with the table
 * @returns what is wrong, a line each
 */
export function checkNativeTable(sources: readonly string[], document: string): string[] {
  const rows = (TABLE.exec(document)?.[0] ?? '').split('\n').slice(2);
  const named = new Set(
    rows.flatMap((row) =>
      [...(row.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)].map(([, name]) => name),
    ),
  );
  const stems = new Set(sources.map((name) => name.replace(/(?:-binding)?\.(?:cc|h)$/, '')));
  return [
    ...[...stems]
      .filter((stem) => !named.has(stem))
      .map((stem) => `${DOCUMENT}: the table of native/ has no ${stem}`),
    ...[...named]
      .filter((name) => !stems.has(name ?? ''))
      .map((name) => `${DOCUMENT}: the table of native/ has ${name}, and native/src does not`),
  ];
}

/**
 * Members of the addon's objects that only tests call.
 * @param declarations the files of daemon/native, by path
 * @param callers the texts of the other files of daemon/
 */
export function checkNativeCalls(
  declarations: ReadonlyMap<string, string>,
  callers: readonly string[],
): string[] {
  const used = new Set(callers.flatMap((text) => text.match(/\w+/g) ?? []));
  const problems: string[] = [];
  for (const [path, text] of declarations) {
    for (const [, body = ''] of text.matchAll(INTERFACE)) {
      for (const [, comment = '', name = ''] of body.matchAll(MEMBER)) {
        if (used.has(name) || /@internal \S/.test(comment)) continue;
        problems.push(`${path}: nothing in daemon/ uses ${name}; if tests must: @internal and why`);
      }
    }
  }
  return problems;
}

const isNative = (file: string): boolean => file.startsWith('daemon/native/');

/** @param root of the project. @param files those of daemon/ */
export function checkNative(root: string, files: readonly string[]): string[] {
  const read = (file: string): string => readFileSync(join(root, file), 'utf8');
  const declarations = new Map(files.filter(isNative).map((file) => [file, read(file)]));
  return [
    ...checkNativeTable(readdirSync(join(root, 'native/src')), read(DOCUMENT)),
    ...checkNativeCalls(declarations, files.filter((file) => !isNative(file)).map(read)),
  ];
}
