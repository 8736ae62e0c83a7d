// CPU time of test files: what `--cpu` prints.
import { readFileSync } from 'node:fs';

/** Linux counts the time of ended processes in these, whatever the hardware is. */
const MS_PER_TICK = 10;
/** Fields of /proc/self/stat after the name: user and system time of the children that were waited for. */
const CHILD_TICKS = [13, 14];
/** Lines of the table. */
const MAX_FILES = 15;

/** @returns ms of CPU time of this process, all its threads, and its children that have ended */
export function cpuMsSoFar(): number {
  const { user, system } = process.cpuUsage();
  const stat = readFileSync('/proc/self/stat', 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = CHILD_TICKS.reduce((sum, index) => sum + Number(fields[index]), 0);
  return (user + system) / 1000 + ticks * MS_PER_TICK;
}

/** @param times what `times` of a POSIX shell prints: a line of its own time, one of its children's. @returns ms */
export function cpuMsOfChildren(times: string): number {
  const parts = times.split('\n')[1]?.matchAll(/(\d+)m([\d.]+)s/g) ?? [];
  return [...parts].reduce((sum, [, m, s]) => sum + (Number(m) * 60 + Number(s)) * 1000, 0);
}

/** @param cpuMs by test file. @returns lines: the files that took most, and what all took */
export function cpuTable(cpuMs: ReadonlyMap<string, number>): string[] {
  const files = [...cpuMs].toSorted(([, a], [, b]) => b - a);
  const sum = files.reduce((sumMs, [, ms]) => sumMs + ms, 0);
  return [
    '# CPU s  file',
    ...files.slice(0, MAX_FILES).map(([file, ms]) => `${seconds(ms)}  ${file}`),
    `${seconds(sum)}  all ${files.length} files, without the start of processes that they share`,
  ];
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(2).padStart(8);
}
