// How many lines the log takes of what clients and images can cause. docs/limits.md lists them.

import type { RepeatLimits } from '../lib/repeats.js';

/** Lines about the same thing are so far apart, and say how often it happened meanwhile. */
const INTERVAL_MS = 10_000;

/** Failed reads, by export, code and block. */
export const READ_FAILURE_LINES: RepeatLimits = {
  intervalMs: INTERVAL_MS,
  keys: 64,
  burst: 1,
  lines: 0,
};

/** Connections that are over, by peer and reason: few clients make more in the interval. */
export const CLOSED_LINES: RepeatLimits = {
  intervalMs: INTERVAL_MS,
  keys: 128,
  burst: 32,
  lines: 256,
};

/** Whatever else strangers cause: refused connections, failing accepts, threads that die. */
export const REPEATED_LINES: RepeatLimits = {
  intervalMs: INTERVAL_MS,
  keys: 64,
  burst: 1,
  lines: 0,
};

/** Bytes of lines that standard error has not taken; further lines are dropped, and counted. */
export const MAX_UNWRITTEN_BYTES = 1024 * 1024;

/** Lines from before the logger is there; further ones are dropped, and counted. */
export const MAX_EARLY_LINES = 1024;

/** At its end the process waits so long for standard error to take the last lines. */
export const FLUSH_MS = 1000;

/** UTF-16 units of a field beside the message. */
export const MAX_FIELD_LENGTH = 512;
