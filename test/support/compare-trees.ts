// Compares a tree with the one that is expected.
import type { Test } from 'tap';
import type { TreeLine } from './erofs/tree-lines.js';

/** One assertion for each line that differs: a tree has thousands of them. */
export function compareTrees(
  t: Test,
  got: readonly TreeLine[] | null,
  expected: readonly TreeLine[],
): void {
  t.same(
    got?.map(({ path, path_b64 }) => path ?? path_b64),
    expected.map(({ path, path_b64 }) => path ?? path_b64),
    'paths',
  );
  const others = expected.filter((line, i) => !isSame(t, line, got?.[i]));
  t.equal(others.length, 0, `${expected.length} entries`);
}

function isSame(t: Test, line: TreeLine, got: TreeLine | undefined): boolean {
  if (textOf(line) === textOf(got)) return true;
  t.same(got, line);
  return false;
}

/** The order of keys does not matter. */
function textOf(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) =>
    each !== null && typeof each === 'object' && !Array.isArray(each)
      ? Object.fromEntries(Object.entries(each).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : each,
  );
}
