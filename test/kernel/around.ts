// What the kernel and the daemon logged around a line of the kernel's log, for people who look into a failure.
import { readFileSync } from 'node:fs';

/** Seconds before the line: a request that times out was sent 10 s earlier, or more on an emulated processor. */
const BEFORE = 13;
const AFTER = 5;
const MAX_LINES = 100;

/** The kernel's clock, in seconds since it booted, as in its log. */
export function kernelSeconds(): number {
  return Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]);
}

/** The kernel's time of a line of its log; null for other lines. */
export function secondsOf(line: string): number | null {
  const [, seconds] = /^\[ *(\d+\.\d+)\]/.exec(line) ?? [];
  return seconds === undefined ? null : Number(seconds);
}

/** Something that took some time, in seconds of the kernel's clock. */
export interface Span {
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

/** The spans that overlap the time before `at`, and the lines of both logs since they began, in the order of time. */
export function around(
  at: number,
  kernel: readonly string[],
  daemon: readonly string[],
  spans: readonly Span[],
): string {
  const bootMs = Date.now() - kernelSeconds() * 1000;
  const kernelLines = kernel.map((line) => ({ at: secondsOf(line), text: `kernel: ${line}` }));
  const daemonLines = daemon.map((line) => {
    const ms = Date.parse(line.slice(0, line.indexOf(' ')));
    const seconds = Number.isNaN(ms) ? null : (ms - bootMs) / 1000;
    return { at: seconds, text: `daemon: [${seconds?.toFixed(3)}] ${line}` };
  });
  const overlapping = spans.filter(({ from, to }) => from <= at && to >= at - BEFORE);
  const begin = Math.min(at - BEFORE, ...overlapping.map(({ from }) => from));
  const lines = [...kernelLines, ...daemonLines]
    .filter((each) => each.at !== null && each.at >= begin && each.at <= at + AFTER)
    .toSorted((a, b) => Number(a.at) - Number(b.at))
    .slice(-MAX_LINES);
  return [
    ...overlapping.map(({ from, to, text }) => `[${from.toFixed(3)} to ${to.toFixed(3)}] ${text}`),
    ...lines.map(({ text }) => text),
  ].join('\n');
}
