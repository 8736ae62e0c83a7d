// Tables of errors: what provokes each, its code, and its facts, which its message must say, too.

import type { Test } from 'tap';
import { OverlaybdError, factsOf, type ErrorCode, type ErrorFacts } from '../../daemon/errors.js';
import { printableLine } from '../../daemon/lib/printable.js';

/** What is done, the code, and all facts. */
export type ErrorRow = readonly [work: () => unknown, code: ErrorCode, facts: ErrorFacts];

/** Facts that a message may leave out: a line about the export or the image has them. */
const UNSAID: ReadonlySet<string> = new Set(['failure', 'attempts', 'seconds']);

/** @returns what `work` throws, or rejects with */
export async function thrownBy(work: () => unknown): Promise<unknown> {
  try {
    await work();
  } catch (error) {
    return error;
  }
  throw new TypeError('it did not fail');
}

export async function checkErrors(
  t: Test,
  rows: Readonly<Record<string, ErrorRow>>,
  unsaid: readonly (keyof ErrorFacts)[] = [],
): Promise<void> {
  for (const [name, [work, code, facts]] of Object.entries(rows)) {
    const error = await thrownBy(work);
    if (!(error instanceof OverlaybdError)) throw error;
    t.equal(error.code, code, `${name}: ${error.message}`);
    t.same(factsOf(error), facts, name);
    const said = printableLine(error.message);
    for (const [key, value] of Object.entries(facts)) {
      if (UNSAID.has(key) || unsaid.includes(key as keyof ErrorFacts)) continue;
      if (!said.includes(printableLine(String(value)))) t.fail(`${name}: no ${key} in: ${said}`);
    }
  }
}
