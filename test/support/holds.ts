// fast-check properties as assertions of tap: one that holds is one assertion, with the number of its cases.
import { asyncDefaultReportMessage, check, type IRawProperty, type Parameters } from 'fast-check';
import type { Test } from 'tap';

/** @throws Error with the smallest failing case, if the property does not hold */
export async function holds<T>(
  test: Test,
  property: IRawProperty<T>,
  parameters: Parameters<T>,
): Promise<void> {
  const run = await check(property, parameters);
  if (run.failed) {
    const report = await asyncDefaultReportMessage(run);
    throw new Error(report ?? 'the property does not hold', { cause: run.errorInstance });
  }
  test.ok(run.numRuns > 0, `holds in ${run.numRuns} cases`);
}
