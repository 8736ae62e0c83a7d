// Finds out whether standard error is the systemd journal, and makes the priorities that it reads at the
// beginning of a line (sd-daemon(3), systemd.exec(5): JOURNAL_STREAM).

import { fstatSync } from 'node:fs';
import type { LogLevel } from './logger.js';

const PRIORITIES: Readonly<Record<LogLevel, number>> = { error: 3, warn: 4, info: 6, debug: 7 };

/** The prefix of a line of this level: "<4>" for a warning, or nothing without a journal. */
export type PriorityPrefix = (level: LogLevel) => string;

/** @param fd must be the stream in $JOURNAL_STREAM: a child with another stream inherits the variable too */
export function priorityPrefix(
  environment: NodeJS.ProcessEnv = process.env,
  fd = 2,
): PriorityPrefix {
  return isJournal(environment['JOURNAL_STREAM'], fd)
    ? (level) => `<${PRIORITIES[level]}>`
    : () => '';
}

function isJournal(stream: string | undefined, fd: number): boolean {
  if (stream === undefined) return false;
  try {
    const { dev, ino } = fstatSync(fd, { bigint: true });
    return stream === `${dev}:${ino}`;
  } catch {
    return false;
  }
}
