// The place of the fixtures of images whose layers are files, and their trees. Made by the tools of each format.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import type { TreeLine } from './erofs/tree-lines.js';

const VARIABLE = 'OVERLAYBD_LAZY_FIXTURES';

/** Next to the project's folder; this file is compiled to out/test/support. */
const BESIDE_PROJECT = fileURLToPath(new URL('../../../../shared/lazy-fixtures', import.meta.url));

/**
 * The folder of the fixtures: $OVERLAYBD_LAZY_FIXTURES, or ../shared/lazy-fixtures beside the project. If there is none, the
 * test is skipped.
 * @throws Error if the variable names a folder that is not there
 */
export function requireLazyFixtures(t: Test): string | null {
  const root = findLazyFixtures();
  if (root !== null) return root;
  const message = `NOT TESTED: ${VARIABLE} does not name the folder of the fixtures`;
  console.error(`${t.fullname}: ${message}`);
  t.pass('fixtures', { skip: message });
  return null;
}

/**
 * The same folder; null if there is none.
 * @throws Error if the variable names a folder that is not there
 */
export function findLazyFixtures(): string | null {
  const root = process.env[VARIABLE] ?? '';
  if (root === '') return existsSync(BESIDE_PROJECT) ? BESIDE_PROJECT : null;
  if (!existsSync(root)) throw new Error(`${VARIABLE}: ${root} is not there`);
  return root;
}

/** The lines of a tree, sorted by the bytes of their paths. */
export function expectedTree(root: string, ...path: string[]): TreeLine[] {
  const lines = readFileSync(join(root, ...path), 'utf8')
    .trimEnd()
    .split('\n');
  return lines.map((line) => JSON.parse(line) as TreeLine);
}
