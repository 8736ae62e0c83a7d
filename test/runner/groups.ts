// Which test files run one after another, in one process. It depends on nothing but their names: so what one leaves to
// the next is the same in every run.
import { dirname } from 'node:path';

/** A group takes whole folders until it has this many files. */
const MIN_FILES = 40;

/** @param files sorted. @returns groups of files that share a process, and each of the others alone */
export function groupsOf(
  files: readonly string[],
  isAlone: (file: string) => boolean,
): readonly (readonly string[])[] {
  const groups: string[][] = [];
  let last: string[] = [];
  for (const file of files.filter((each) => !isAlone(each))) {
    const before = last.at(-1);
    const isNew = before === undefined || dirname(before) !== dirname(file);
    if (isNew && (last.length >= MIN_FILES || last.length === 0)) groups.push((last = []));
    last.push(file);
  }
  return [...groups, ...files.filter(isAlone).map((file) => [file])];
}
