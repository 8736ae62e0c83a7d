// The comparison in short: this project on three forms of the image as times of nbdkit with the raw one, losses first.
import { YARDSTICK, type CaseName } from './cases.js';
import { table } from './report.js';
import type { Comparison, Row } from './summary.js';
import { BUSY_TITLE, WORKS, type AnyWork, type MetricName, type WorkName } from './works.js';

const SHOWN: readonly CaseName[] = ['obd-lsmt', 'obd-lz4', 'obd-zstd'];

/** A row for each work by its first figure, and for the processor time of sequential work. Below 1 in bold: nbdkit is better. */
export function speedTable(comparisons: readonly Comparison[]): string {
  const rows = comparisons
    .filter(({ work, metric }) => metric === work.metrics[0] || metric === 'cpuGb')
    .flatMap((comparison) => {
      const ratios = SHOWN.map((name) => ratioOf(comparison.rows, name));
      const known = ratios.filter((ratio) => ratio !== null);
      return known.length === 0 ? [] : [{ comparison, ratios, least: Math.min(...known) }];
    })
    .toSorted((a, b) => a.least - b.least);
  const body = rows.map(({ comparison: { work, metric }, ratios }) => [
    titleOf(work, metric),
    machineOf(work.name),
    ...ratios.map(cellOf),
  ]);
  return table([[`x ${YARDSTICK} with the raw image`, 'machine', 'raw', 'LZ4', 'zstd'], ...body]);
}

function ratioOf(rows: readonly Row[], name: CaseName): number | null {
  return rows.find(({ server }) => server === name)?.ratio?.median ?? null;
}

function titleOf({ name, title }: AnyWork, metric: MetricName): string {
  const short = machineOf(name) === 'busy' ? title.replace(BUSY_TITLE, '') : title;
  return metric === 'cpuGb' ? `${short}: CPU time` : short;
}

function machineOf(name: WorkName): string {
  const work = WORKS.find((each) => each.name === name);
  if (!work) return 'idle';
  return work.isBusy ? 'busy' : 'idle';
}

function cellOf(ratio: number | null): string {
  if (ratio === null) return '-';
  const text = ratio.toFixed(2);
  return Number(text) < 1 ? `**${text}**` : text;
}
