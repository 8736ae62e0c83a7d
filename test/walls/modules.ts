// The modules that a TypeScript file names: imports, exports from, import() and import types. Found by their form, not
// by a parser: text that only looks like an import counts too, so none is missed.

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

export interface Import {
  /** As written: './x.js', 'node:fs', 'yargs'. */
  readonly specifier: string;
  /** The file that a relative specifier names, from the root. Null for a package. */
  readonly target: string | null;
  readonly line: number;
}

export interface Module {
  /** From the root of the repository. */
  readonly path: string;
  readonly imports: readonly Import[];
  /** Lines with an import() whose name is computed at run time. */
  readonly computedImports: readonly number[];
}

const IMPORT =
  /(?:^|[\s}*])from\s*(?:'([^'\n]+)'|"([^"\n]+)")|\bimport\s*\(\s*(?:'([^'\n]+)'|"([^"\n]+)")|^\s*import\s*(?:'([^'\n]+)'|"([^"\n]+)")/gm;
const COMPUTED = /\bimport\s*\(\s*(?!['"\s])/g;

export function moduleOf(path: string, text: string): Module {
  const imports: Import[] = [];
  for (const match of text.matchAll(IMPORT)) {
    const specifier = match.slice(1).find((group) => group !== undefined) ?? '';
    const line = lineOf(text, match.index + match[0].lastIndexOf(specifier));
    imports.push({ specifier, target: targetOf(path, specifier), line });
  }
  const computedImports = [...text.matchAll(COMPUTED)].map(({ index }) => lineOf(text, index));
  return { path, imports, computedImports };
}

/** All modules below `folder` of the repository at `root`, sorted by path. */
export function readModules(root: string, folder: string): Module[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .toSorted()
    .map((name) => join(folder, name))
    .map((path) => moduleOf(path, readFileSync(join(root, path), 'utf8')));
}

function targetOf(path: string, specifier: string): string | null {
  if (!specifier.startsWith('.')) return null;
  return normalize(join(dirname(path), specifier)).replace(/\.js$/, '.ts');
}

/** Counted from 1. */
function lineOf(text: string, index: number): number {
  return text.slice(0, index).split('\n').length;
}
