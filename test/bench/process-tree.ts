// Memory and processor time of a process with all its descendants, from /proc. Linux only.
import { readdirSync, readFileSync } from 'node:fs';

/** The kernel's USER_HZ, which is 100 on every architecture that Node.js supports. */
const TICKS_PER_SECOND = 100;

/** VmRSS of the tree in bytes. */
export function residentBytes(pid: number): number {
  return sum(pid, (each) => {
    const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${each}/status`, 'utf8')) ?? [];
    return Number(kib ?? 0) * 1024;
  });
}

/** User and system time that the tree has used so far, in seconds. */
export function cpuSeconds(pid: number): number {
  return sum(pid, (each) => {
    // The second field is the name in brackets, which may contain anything.
    const stat = readFileSync(`/proc/${each}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  });
}

/** Seconds that the living threads of one process have run so far: to the nanosecond, where {@link cpuSeconds} has 10 ms. */
export function threadSeconds(pid: number): number {
  const folder = `/proc/${pid}/task`;
  return readdirSync(folder).reduce((total, thread) => {
    const [nanoseconds] = readFileSync(`${folder}/${thread}/schedstat`, 'utf8').split(' ');
    return total + Number(nanoseconds) / 1e9;
  }, 0);
}

function sum(pid: number, of: (pid: number) => number): number {
  return of(pid) + childrenOf(pid).reduce((total, child) => total + sum(child, of), 0);
}

function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return text === '' ? [] : text.split(' ').map(Number);
}
