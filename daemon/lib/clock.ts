// Time that never goes back.

/**
 * Milliseconds since a point in the past. The clock of performance.now(), whose first use takes each
 * thread 1 to 2 ms of its start: Node.js loads node:perf_hooks for it.
 */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}
