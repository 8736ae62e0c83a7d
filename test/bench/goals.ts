// The goals of the project, each with its bound. Data only; verdicts.ts decides whether a goal is met.
import type { CaseName } from './cases.js';
import type { MetricName, WorkName } from './works.js';

/** The reference engine in process, one thread, page cache hot, on this kind of machine. */
const REFERENCE_LZ4_RATE = 1500;
const REFERENCE_ZSTD_RATE = 195;
const REFERENCE_ZSTD_IOPS = 25_000;
/** Lookups a second of its lower_bound at 10,000 segments, and of its best method without SIMD. */
const REFERENCE_LOOKUPS = 12.8e6;
const REFERENCE_BEST_LOOKUPS = 30e6;

const MIB = 1 << 20;

interface Common {
  about: string;
  /** The least (or most) that the median may be. */
  bound: number;
}

/** A server compared with a peer in the same rounds; the bound is the least ratio. */
export interface VersusGoal extends Common {
  kind: 'versus';
  server: CaseName;
  peer: CaseName;
  work: WorkName;
  metric: MetricName;
}

export type Goal =
  | VersusGoal
  /** A server's own figure, at least. */
  | (Common & { kind: 'figure'; server: CaseName; work: WorkName; metric: MetricName })
  /** Lookups a second, random, at least. */
  | (Common & { kind: 'lookup' })
  /** Bytes, at most. */
  | (Common & { kind: 'memory'; of: 'one image' | 'further export' | 'after load' })
  /** Milliseconds, at most. */
  | (Common & { kind: 'start'; server: CaseName });

/** Segments in the index of the lookup goals. */
export const LOOKUP_SEGMENTS = 10_000;

export const VERSUS_GOALS: readonly VersusGoal[] = [
  versus('4 KiB random, QD1, raw layer: p50 latency', 'obd-lsmt', 'nbdkit', 'rand-qd1', 'p50', 1),
  ...(['rand-qd16', 'rand-qd16x4'] as const).flatMap((work) => {
    const text = `4 KiB random, QD16, ${work === 'rand-qd16' ? '1 connection' : '4 connections'}`;
    return [
      versus(`${text}, raw layer`, 'obd-lsmt', 'nbdkit', work, 'iops', 1.5),
      versus(`${text}, raw layer`, 'obd-lsmt', 'qemu-nbd', work, 'iops', 3),
      versus(`${text}, LZ4 layer`, 'obd-lz4', 'nbdkit', work, 'iops', 1),
    ];
  }),
  versus('256 KiB sequential, QD4, raw layer', 'obd-lsmt', 'nbdkit', 'seq-qd4', 'rate', 1),
];

export const GOALS: readonly Goal[] = [
  ...VERSUS_GOALS,
  figure('256 KiB sequential, QD4, LZ4 layer, 1 connection', 'obd-lz4', 'seq-qd4', 0.8),
  figure('256 KiB sequential, QD4, LZ4 layer, 2 connections', 'obd-lz4', 'seq-qd4x2', 1),
  {
    kind: 'figure',
    about: `256 KiB sequential, QD4, zstd layer: 2 x the reference's ${REFERENCE_ZSTD_RATE} MB/s`,
    server: 'obd-zstd',
    work: 'seq-qd4',
    metric: 'rate',
    bound: 2 * REFERENCE_ZSTD_RATE,
  },
  {
    kind: 'figure',
    about: `4 KiB random, QD16, zstd layer: 2 x the reference's ${REFERENCE_ZSTD_IOPS} IOPS`,
    server: 'obd-zstd',
    work: 'rand-qd16',
    metric: 'iops',
    bound: 2 * REFERENCE_ZSTD_IOPS,
  },
  { kind: 'lookup', about: "Lookup, 10k segments: the reference's", bound: REFERENCE_LOOKUPS },
  {
    kind: 'lookup',
    about: "Lookup, 10k segments: the reference's best, in sight",
    bound: REFERENCE_BEST_LOOKUPS,
  },
  { kind: 'memory', about: 'Resident memory, one image', of: 'one image', bound: 90 * MIB },
  { kind: 'memory', about: '  after the load, one raw layer', of: 'after load', bound: 90 * MIB },
  { kind: 'memory', about: '  each further export', of: 'further export', bound: MIB },
  {
    kind: 'start',
    about: 'From exec to the first byte, 8 layers',
    server: 'obd-lz4-8',
    bound: 300,
  },
];

function versus(
  about: string,
  server: CaseName,
  peer: CaseName,
  work: WorkName,
  metric: MetricName,
  bound: number,
): VersusGoal {
  return { kind: 'versus', about, server, peer, work, metric, bound };
}

/** @param share of the reference engine's rate */
function figure(about: string, server: CaseName, work: WorkName, share: number): Goal {
  const text = `${about}: ${share} x the reference's ${REFERENCE_LZ4_RATE} MB/s`;
  const bound = share * REFERENCE_LZ4_RATE;
  return { kind: 'figure', about: text, server, work, metric: 'rate', bound };
}
