// Limits of the lines that clients and images can cause. docs/limits.md lists them.

import type { RepeatLimits } from '../lib/repeats.js';

/** Time between two lines of the same kind, each with the count of the interval. */
const INTERVAL_MS = 10_000;

/** Failed reads, by export, code and block. */
export const READ_FAILURE_LINES: RepeatLimits = {
  intervalMs: INTERVAL_MS,
  keys: 64,
  burst: 1,
  lines: 0,
};

/** Ended connections, by peer and reason: few clients make more in an interval. */
export const CLOSED_LINES: RepeatLimits = {
  intervalMs: INTERVAL_MS,
  keys: 128,
  burst: 32,
  lines: 256,
};

/** Other lines that clients can cause: refused connections, failed accepts, threads that end. */
export const REPEATED_LINES: RepeatLimits = {
  intervalMs: INTERVAL_MS,
  keys: 64,
  burst: 1,
  lines: 0,
};

/** Bytes of lines that standard error has not accepted. Further lines are dropped and counted. */
export const MAX_UNWRITTEN_BYTES = 1024 * 1024;

/** Lines from before the logger exists. Further ones are dropped and counted. */
export const MAX_EARLY_LINES = 1024;

/** How long the process waits at its end for standard error to accept the last lines. */
export const FLUSH_MS = 1000;

/** UTF-16 units of a field beside the message. */
export const MAX_FIELD_LENGTH = 512;
