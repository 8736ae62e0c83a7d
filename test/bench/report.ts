// What was measured as aligned Markdown tables. Text only.
import { findCase, YARDSTICK } from './cases.js';
import type { Memory } from './measure.js';
import type { StartTime } from './start-time.js';
import { spreadOf, type Comparison } from './summary.js';
import { METRICS } from './works.js';

const MIB = 1 << 20;

export function loadTable({ work, metric, rows }: Comparison): string {
  const { unit, digits } = METRICS[metric];
  const body = rows.map(({ server, spread, ratio, cpu }) => [
    findCase(server).about,
    spread.median.toFixed(digits),
    spread.min.toFixed(digits),
    spread.max.toFixed(digits),
    ratio === undefined ? '-' : ratio.toFixed(2),
    cpu.toFixed(1),
  ]);
  const head = [
    `${work.title}: ${unit}`,
    'median',
    'min',
    'max',
    `x ${YARDSTICK}`,
    'CPU us/request',
  ];
  return table([head, ...body]);
}

export function memoryTable(memory: readonly Memory[]): string {
  const body = memory.map(({ server, idle, after }) => [
    findCase(server).about,
    (idle / MIB).toFixed(1),
    (after / MIB).toFixed(1),
  ]);
  return table([['Resident memory, MiB', 'idle', 'after the load'], ...body]);
}

export function startTable(starts: readonly StartTime[]): string {
  const body = starts.map(({ server, times }) => {
    const { median, min, max } = spreadOf(times);
    return [findCase(server).about, ...[median, min, max].map((ms) => ms.toFixed(0))];
  });
  return table([['From exec to the first read, ms', 'median', 'min', 'max'], ...body]);
}

/** The first row is the head, the first column is text, the others are numbers. */
export function table(rows: readonly (readonly string[])[]): string {
  const [head = [], ...body] = rows;
  const widths = head.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string => {
    const padded = cells.map((cell, column) => {
      const width = widths[column] ?? 0;
      return column === 0 ? cell.padEnd(width) : cell.padStart(width);
    });
    return `| ${padded.join(' | ')} |`;
  };
  const rule = widths.map((width, column) =>
    column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`,
  );
  return [line(head), `| ${rule.join(' | ')} |`, ...body.map(line)].join('\n');
}
