// How often a second something can be done within this process: warm-up, then runs. Numbers only.
import { spreadOf, type Spread } from './summary.js';

const RUNS = 7;
/** Milliseconds; the compiler needs a few of them. */
const WARM_UP = 150;
const RUN = 100;

/** @param batch does `operations` operations @returns operations a second */
export function ratesOf(batch: () => void, operations: number): number[] {
  timeBatches(batch, WARM_UP);
  return Array.from({ length: RUNS }, () => operations * timeBatches(batch, RUN));
}

export function rateOf(batch: () => void, operations: number): Spread {
  return spreadOf(ratesOf(batch, operations));
}

/** @returns batches a second in about `duration` ms, at least one batch */
function timeBatches(batch: () => void, duration: number): number {
  const start = performance.now();
  let batches = 0;
  let elapsed = 0;
  do {
    batch();
    batches++;
    elapsed = performance.now() - start;
  } while (elapsed < duration);
  return (batches * 1000) / elapsed;
}
