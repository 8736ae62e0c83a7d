// Samples to medians and ratios. Numbers only; the text is made in report.ts.
import { isFloor, YARDSTICK, type RowName } from './cases.js';
import type { Sample } from './sample.js';
import { ALL_WORKS, METRICS, type AnyWork, type MetricName, type WorkName } from './works.js';

export interface Spread {
  median: number;
  min: number;
  max: number;
}

export interface Row {
  server: RowName;
  spread: Spread;
  /** How many times better than the yardstick in the same round; undefined without one. */
  ratio: Spread | undefined;
  /** Median microseconds of the server's processor time for each request. */
  cpu: number;
}

/** One table: every server at one work by one figure. */
export interface Comparison {
  work: AnyWork;
  metric: MetricName;
  rows: Row[];
}

export function summarize(samples: readonly Sample[], servers: readonly RowName[]): Comparison[] {
  const comparisons: Comparison[] = [];
  for (const work of ALL_WORKS) {
    if (!samples.some((sample) => sample.work === work.name)) continue;
    for (const metric of work.metrics) {
      const rows = servers.flatMap((server): Row[] => {
        // Decoding alone has no requests that wait.
        if (isFloor(server) && isLatency(metric)) return [];
        const spread = figureOf(samples, work.name, metric, server);
        if (!spread) return [];
        const cpu = figureOf(samples, work.name, 'cpu', server)?.median ?? 0;
        const ratio = ratioOf(samples, work.name, metric, server, YARDSTICK);
        return [{ server, spread, ratio, cpu }];
      });
      comparisons.push({ work, metric, rows });
    }
  }
  return comparisons;
}

function isLatency(metric: MetricName): boolean {
  return metric === 'p50' || metric === 'p99';
}

/** @returns undefined if the server was not measured at this work */
function figureOf(
  samples: readonly Sample[],
  work: WorkName,
  figure: MetricName | 'cpu',
  server: RowName,
): Spread | undefined {
  const values = samples
    .filter((sample) => sample.work === work && sample.server === server)
    .map((sample) => sample[figure]);
  return values.length === 0 ? undefined : spreadOf(values);
}

/**
 * How many times as good a server is as a peer. Each round is compared with itself, because the
 * machine's speed changes between rounds more than within one.
 * @returns undefined when there is no round that has both
 */
export function ratioOf(
  samples: readonly Sample[],
  work: WorkName,
  metric: MetricName,
  server: RowName,
  peer: RowName,
): Spread | undefined {
  const ofWork = samples.filter((sample) => sample.work === work);
  const ratios = ofWork.flatMap((ours) => {
    if (ours.server !== server) return [];
    const theirs = ofWork.find((other) => other.server === peer && other.round === ours.round);
    if (!theirs) return [];
    const times = ours[metric] / theirs[metric];
    return [METRICS[metric].less ? 1 / times : times];
  });
  return ratios.length === 0 ? undefined : spreadOf(ratios);
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
