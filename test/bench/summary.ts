// Samples to medians and ratios. Numbers only; the text is made in report.ts.
import { YARDSTICK, type CaseName } from './cases.js';
import type { Sample } from './measure.js';
import { METRICS, WORKS, type MetricName, type Work } from './works.js';

export interface Spread {
  median: number;
  min: number;
  max: number;
}

export interface Row {
  server: CaseName;
  spread: Spread;
  /** How many times as good as the yardstick, median against median; undefined without one. */
  ratio: number | undefined;
  /** Median microseconds of the server's processor time for each request. */
  cpu: number;
}

/** One table: every server at one work by one figure. */
export interface Comparison {
  work: Work;
  metric: MetricName;
  rows: Row[];
}

export function summarize(samples: readonly Sample[], servers: readonly CaseName[]): Comparison[] {
  const comparisons: Comparison[] = [];
  for (const work of WORKS) {
    const ofWork = samples.filter((sample) => sample.work === work.name);
    if (ofWork.length === 0) continue;
    for (const metric of work.metrics) {
      const valuesOf = (server: CaseName, what: MetricName | 'cpu') =>
        ofWork.filter((sample) => sample.server === server).map((sample) => sample[what]);
      const yardstick = servers.includes(YARDSTICK)
        ? spreadOf(valuesOf(YARDSTICK, metric))
        : undefined;
      const rows = servers.map((server): Row => {
        const spread = spreadOf(valuesOf(server, metric));
        const cpu = spreadOf(valuesOf(server, 'cpu')).median;
        return { server, spread, ratio: ratioOf(metric, spread, yardstick), cpu };
      });
      comparisons.push({ work, metric, rows });
    }
  }
  return comparisons;
}

/** @param values at least one */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const low = sorted[Math.ceil(middle) - 1];
  const high = sorted[Math.floor(middle)];
  const [min, max] = [sorted[0], sorted.at(-1)];
  if (low === undefined || high === undefined || min === undefined || max === undefined) {
    throw new RangeError('spread of no values');
  }
  return { median: (low + high) / 2, min, max };
}

function ratioOf(
  metric: MetricName,
  spread: Spread,
  yardstick: Spread | undefined,
): number | undefined {
  if (!yardstick) return undefined;
  return METRICS[metric].less ? yardstick.median / spread.median : spread.median / yardstick.median;
}
