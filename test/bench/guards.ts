// What `--check` compares, and with which bounds: at most half of the goals', or of what the daemon reached when they were
// written, because the machine that runs it may be busy with other work. Data only.
import type { CaseName, RowName } from './cases.js';
import { GOALS, type Goal, type VersusGoal } from './goals.js';
import type { MetricName, WorkName } from './works.js';

/** Memory does not depend on the load of the machine, but on the release of Node.js. */
const MEMORY_TIMES = 2;

/** Medians of latencies, not rates, where there is a choice: a pause of the machine changes the rate of a short run alone. */
export const GUARDS: readonly VersusGoal[] = [
  guard('4 KiB, QD1, raw: p50', 'obd-lsmt', 'lean-qd1', 'p50', 0.4),
  guard('4 KiB, QD1, LZ4: p50', 'obd-lz4', 'lean-qd1', 'p50', 0.3),
  guard('4 KiB, QD1, zstd: p50', 'obd-zstd', 'lean-qd1', 'p50', 0.25),
  guard('4 KiB, QD1, every core busy, raw', 'obd-lsmt', 'lean-qd1-busy', 'iops', 0.2),
  guard('4 KiB, QD1, every core busy, LZ4', 'obd-lz4', 'lean-qd1-busy', 'iops', 0.15),
  guard('4 KiB, QD16, 1 connection, raw: p50', 'obd-lsmt', 'lean-qd16', 'p50', 0.5),
  guard('4 KiB, QD16, 1 connection, LZ4: p50', 'obd-lz4', 'lean-qd16', 'p50', 0.4),
  guard('4 KiB, QD16, 1 connection, zstd: p50', 'obd-zstd', 'lean-qd16', 'p50', 0.1),
  guard('4 KiB, QD16, 4 connections, raw: p50', 'obd-lsmt', 'lean-qd16x4', 'p50', 0.5),
  guard('4 KiB, QD16, 4 connections, LZ4: p50', 'obd-lz4', 'lean-qd16x4', 'p50', 0.4),
  guard('256 KiB sequential, raw: p50', 'obd-lsmt', 'seq-qd4', 'p50', 0.3),
  guard('256 KiB sequential: CPU time, raw', 'obd-lsmt', 'seq-qd4', 'cpuGb', 0.6),
  guard('256 KiB sequential, LZ4: p50', 'obd-lz4', 'seq-qd4', 'p50', 0.2),
  guard('256 KiB sequential, LZ4', 'obd-lz4', 'seq-qd4', 'rate', 0.08, 'floor-lz4'),
];

/** Of a short walk the median latency: the daemon's first requests are slow, because its code is not compiled yet. */
export const COLD_GUARDS: readonly VersusGoal[] = [
  guard('Cold tree walk, QD1, raw: p50', 'obd-lsmt', 'cold-qd1', 'p50', 0.25),
  guard('Cold tree walk, QD1, LZ4: p50', 'obd-lz4', 'cold-qd1', 'p50', 0.25),
  guard('Cold tree walk, QD8, raw: p50', 'obd-lsmt', 'cold-qd8', 'p50', 0.15),
  guard('Cold tree walk, QD8, LZ4: p50', 'obd-lz4', 'cold-qd8', 'p50', 0.15),
];

export const MEMORY_GUARDS: readonly Goal[] = GOALS.filter(({ kind }) => kind === 'memory').map(
  (goal) => ({ ...goal, bound: goal.bound * MEMORY_TIMES }),
);

function guard(
  about: string,
  server: CaseName,
  work: WorkName,
  metric: MetricName,
  bound: number,
  peer: RowName = 'nbdkit',
): VersusGoal {
  return { kind: 'versus', about, server, peer, work, metric, bound };
}
