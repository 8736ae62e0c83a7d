// What `--check` compares, and with which bounds: at most half of the goals', or of what the daemon reached when they were
// written, because the machine that runs it may be busy with other work. Data only.
import type { CaseName, RowName } from './cases.js';
import { GOALS, type Goal, type VersusGoal } from './goals.js';
import type { MetricName, WorkName } from './works.js';

/** Memory does not depend on the load of the machine, but on the release of Node.js. */
const MEMORY_TIMES = 2;

export const GUARDS: readonly VersusGoal[] = [
  guard('4 KiB, QD1, raw', 'obd-lsmt', 'lean-qd1', 'p50', 0.5),
  guard('4 KiB, QD1, LZ4', 'obd-lz4', 'lean-qd1', 'p50', 0.4),
  guard('4 KiB, QD1, zstd', 'obd-zstd', 'lean-qd1', 'p50', 0.25),
  guard('4 KiB, QD1, every core busy, raw', 'obd-lsmt', 'lean-qd1-busy', 'iops', 0.3),
  guard('4 KiB, QD1, every core busy, LZ4', 'obd-lz4', 'lean-qd1-busy', 'iops', 0.25),
  guard('4 KiB, QD16, 1 connection, raw', 'obd-lsmt', 'rand-qd16', 'iops', 0.75),
  guard('4 KiB, QD16, 1 connection, LZ4', 'obd-lz4', 'rand-qd16', 'iops', 0.5),
  guard('4 KiB, QD16, 1 connection, zstd', 'obd-zstd', 'rand-qd16', 'iops', 0.2),
  guard('4 KiB, QD16, 4 connections, raw', 'obd-lsmt', 'rand-qd16x4', 'iops', 0.7),
  guard('4 KiB, QD16, 4 connections, LZ4', 'obd-lz4', 'rand-qd16x4', 'iops', 0.5),
  guard('256 KiB sequential, raw', 'obd-lsmt', 'seq-qd4', 'rate', 0.5),
  guard('256 KiB sequential: CPU time, raw', 'obd-lsmt', 'seq-qd4', 'cpuGb', 0.8),
  guard('256 KiB sequential, LZ4', 'obd-lz4', 'seq-qd4', 'rate', 0.2),
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
