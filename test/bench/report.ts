// Measurements as aligned Markdown tables. Text only.
import { describeRow, findCase, isFloor, YARDSTICK } from './cases.js';
import type { ExportsMemory } from './exports-memory.js';
import type { IdleTime, Memory } from './fleet.js';
import type { Goal } from './goals.js';
import type { StartTime } from './start-time.js';
import { spreadOf, type Comparison, type Spread } from './summary.js';
import { isCeiling, type Verdict } from './verdicts.js';
import { METRICS } from './works.js';

const MIB = 1 << 20;

export function loadTable({ work, metric, rows }: Comparison): string {
  const { unit, digits } = METRICS[metric];
  const body = rows.map(({ server, spread, ratio, cpu }) => [
    describeRow(server).about,
    ...cellsOf(spread, digits),
    ...(ratio ? cellsOf(ratio, 2) : ['-', '-', '-']),
    cpu.toFixed(1),
  ]);
  const head = [
    `${work.title}: ${unit}`,
    'median',
    'min',
    'max',
    `x ${YARDSTICK}`,
    'min',
    'max',
    'CPU us/request',
  ];
  return table([head, ...body]);
}

/** Missed goals come first. */
export function goalTable(verdicts: readonly Verdict[]): string {
  const sorted = verdicts.toSorted((a, b) => Number(a.met) - Number(b.met));
  const body = sorted.map(({ goal, spread, met }) => {
    const { unit, scale, digits } = unitOf(goal);
    const sign = isCeiling(goal) ? '<=' : '>=';
    return [
      goal.about,
      unit,
      `${sign} ${(goal.bound / scale).toFixed(digits)}`,
      ...cellsOf(spread, digits, scale),
      met ? 'met' : '**missed**',
    ];
  });
  return table([['Goal', 'figure', 'bound', 'median', 'min', 'max', 'verdict'], ...body]);
}

function unitOf(goal: Goal): { unit: string; scale: number; digits: number } {
  switch (goal.kind) {
    case 'versus':
      return { unit: `x ${isFloor(goal.peer) ? 'floor' : goal.peer}`, scale: 1, digits: 2 };
    case 'lookup':
      return { unit: 'x binary search', scale: 1, digits: 2 };
    case 'memory':
      return { unit: 'MiB', scale: MIB, digits: 2 };
    case 'start':
      return { unit: 'ms', scale: 1, digits: 0 };
  }
}

export function memoryTable(memory: readonly Memory[]): string {
  const body = memory.map(({ server, idle, after }) => [
    findCase(server).about,
    (idle / MIB).toFixed(1),
    (after / MIB).toFixed(1),
  ]);
  return table([['Resident memory, MiB', 'idle', 'after the load'], ...body]);
}

export function idleTable(idle: readonly IdleTime[]): string {
  const seconds = idle[0]?.seconds ?? 0;
  const body = idle.map(({ server, used }) => [
    findCase(server).about,
    (used * 1000).toFixed(1),
    ((used / seconds) * 100).toFixed(3),
  ]);
  return table([[`Processor time in ${seconds} s without requests`, 'ms', '% of a core'], ...body]);
}

export function exportsTable(exports: readonly ExportsMemory[]): string {
  const row = (name: string, what: keyof ExportsMemory): string[] => [
    name,
    ...cellsOf(spreadOf(exports.map((each) => each[what])), 2, MIB),
  ];
  return table([
    ['Resident memory of 8 layers, MiB', 'median', 'min', 'max'],
    row('one export', 'one'),
    row('ten exports', 'all'),
    row('each further export', 'further'),
  ]);
}

export function startTable(starts: readonly StartTime[]): string {
  const body = starts.map(({ server, times }) => [
    findCase(server).about,
    ...cellsOf(spreadOf(times), 0),
  ]);
  return table([['From exec to the first read, ms', 'median', 'min', 'max'], ...body]);
}

export function cellsOf({ median, min, max }: Spread, digits: number, scale = 1): string[] {
  return [median, min, max].map((value) => (value / scale).toFixed(digits));
}

/** The first row is the head, the first column is text, the others are numbers. */
export function table(rows: readonly (readonly string[])[]): string {
  const [head = [], ...body] = rows;
  const widths = head.map((_, column) =>
    Math.max(3, ...rows.map((row) => row[column]?.length ?? 0)),
  );
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
