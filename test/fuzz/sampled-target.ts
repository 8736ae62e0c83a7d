// A target whose cases fast-check makes, each from the seed of the run and its number.
import * as fc from 'fast-check';
import type { Target } from './run.js';

/**
 * @param play plays a case, and counts what it was
 * @param end is called once, at the end of the run
 */
export function sampledTarget<T>(
  caseOf: fc.Arbitrary<T>,
  play: (played: T, count: (what: string) => void) => Promise<void>,
  end: () => void,
): Target {
  const seen = new Map<string, number>();
  const count = (what: string): void => void seen.set(what, (seen.get(what) ?? 0) + 1);
  return {
    seen,
    failures: [],
    play: async (seed, number) => {
      // fast-check takes 32 bits as seed; the cases of one run must not be close to those of another.
      const [played] = fc.sample(caseOf, {
        seed: Math.imul(seed, 0x9e3779b1) ^ number,
        numRuns: 1,
      });
      if (played === undefined) throw new Error('no case');
      await play(played, count);
    },
    end,
  };
}
