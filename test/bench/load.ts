// The comparison with other servers: its measurements, its tables, its document.
import { barChart } from './bar-chart.js';
import { describeRow, findCase, YARDSTICK } from './cases.js';
import { measureColdWalk } from './cold/cold.js';
import type { Chart, Document } from './docs.js';
import { measureExports } from './exports-memory.js';
import { Fleet, type IdleTime } from './fleet.js';
import { Floors } from './floors.js';
import type { ImageForms } from './forms.js';
import type { Machine } from './machine.js';
import { lookupsForGoal } from './micro-lookup.js';
import type { BenchOptions } from './options.js';
import { buildPrograms } from './programs.js';
import {
  exportsTable,
  goalTable,
  idleTable,
  loadTable,
  memoryTable,
  startTable,
  table,
} from './report.js';
import { speedTable } from './speed-table.js';
import { measureStart } from './start-time.js';
import { summarize, type Comparison } from './summary.js';
import { judgeAll, type Measured, type Verdict } from './verdicts.js';
import { COLD_WORKS, METRICS, serversOf, WORKS } from './works.js';

const MIB = 1 << 20;
const WARM_UP_SECONDS = 1;
const QUICK_WARM_UP_SECONDS = 0.2;
const IDLE_SECONDS = 60;
const QUICK_IDLE_SECONDS = 1;
const EXPORT_RUNS = 5;
const QUICK_EXPORT_RUNS = 1;

export interface LoadResult extends Measured {
  comparisons: Comparison[];
  idle: IdleTime[];
  verdicts: Verdict[];
  /** Bytes of the files that each server serves. */
  sizes: { about: string; size: number }[];
}

/** @param folder for sockets */
export async function measureLoad(
  options: BenchOptions,
  forms: ImageForms,
  folder: string,
  say: (line: string) => void,
): Promise<LoadResult> {
  const { cases, quick, rounds, seconds, start } = options;
  const sizes = cases.map((name) => {
    const { about, form } = findCase(name);
    return { about, size: forms.form(form).size };
  });
  const programs = await buildPrograms(folder);
  say('lookups, start times, memory of exports');
  const lookups = start ? await lookupsForGoal(programs['lookup-floor']) : [];
  const starts = start ? await measureStart(forms, folder) : [];
  const runs = quick ? QUICK_EXPORT_RUNS : EXPORT_RUNS;
  const exports = start ? await measureExports(forms, folder, runs) : [];
  const floors = new Floors(programs['zfile-floor'], forms, say);
  const fleet = await Fleet.start(cases, forms, folder);
  const steps = WORKS.filter(({ name }) => options.works.includes(name)).map((work) => ({
    work,
    servers: serversOf(work, cases),
  }));
  const warmUp = quick ? QUICK_WARM_UP_SECONDS : WARM_UP_SECONDS;
  const how = { rounds, seconds, warmUp, programs, floors, say };
  const warm = await fleet.rounds(steps, how);
  const memory = fleet.memory();
  say('idle servers');
  const idle = await fleet.idle(quick ? QUICK_IDLE_SECONDS : IDLE_SECONDS);
  await fleet.stop();
  const works = COLD_WORKS.filter(({ name }) => options.works.includes(name));
  const coldOptions = { cases, rounds, works, programs, say };
  const cold = works.length > 0 ? await measureColdWalk(coldOptions, forms, folder) : [];
  const samples = [...warm, ...cold];
  const measured = { samples, memory, exports, starts, lookups };
  const comparisons = summarize(samples, [...cases, ...floors.names]);
  return { ...measured, comparisons, idle, verdicts: judgeAll(measured), sizes };
}

export function goalsText({ verdicts }: LoadResult): string {
  return goalTable(verdicts);
}

export function loadTables(result: LoadResult): string[] {
  const { comparisons, memory, idle, exports, starts, sizes } = result;
  const tables = comparisons.map(loadTable);
  tables.push(memoryTable(memory), idleTable(idle));
  if (exports.length > 0) tables.push(exportsTable(exports));
  if (starts.length > 0) tables.push(startTable(starts));
  const rows = sizes.map(({ about, size }) => [about, (size / MIB).toFixed(0)]);
  tables.push(table([['Files served, MiB', 'size'], ...rows]));
  return tables;
}

export function loadDocument(result: LoadResult, preamble: string, machine: Machine): Document {
  const { comparisons, verdicts, memory, idle, exports, starts, lookups, sizes } = result;
  const speed = speedTable(comparisons);
  const parts = [preamble, speed, goalTable(verdicts), ...loadTables(result)];
  return {
    section: 'load',
    markdown: parts.join('\n\n'),
    summary: [
      `${machine['cpu']}, Linux ${machine['kernel']}, Node.js ${machine['node']}.`,
      speed,
    ].join('\n\n'),
    charts: comparisons.filter(isChart).map(chartOf),
    data: { machine, verdicts, comparisons, memory, idle, exports, starts, lookups, sizes },
  };
}

/** One for each work, by its first figure. */
function isChart({ work, metric }: Comparison): boolean {
  return metric === work.metrics[0];
}

function chartOf({ work, metric, rows }: Comparison): Chart {
  const { unit, less } = METRICS[metric];
  const title = `${work.title}: ${unit}${less ? ' (less is better)' : ''}`;
  const bars = rows.map(({ server, spread, ratio }) => {
    const { about, role } = describeRow(server);
    const note = ratio ? `${ratio.median.toFixed(2)} x ${YARDSTICK}` : '-';
    return {
      label: about,
      value: spread.median,
      min: spread.min,
      max: spread.max,
      note,
      kind: role,
    };
  });
  return { name: `${work.name}-${metric}`, title, svg: barChart(title, bars) };
}
