// The loads of the benchmark, and how their results are read. Data only.

export type WorkName = 'rand-qd1' | 'rand-qd16' | 'rand-qd16x4' | 'seq-qd4' | 'seq-qd4x2';

export interface Work {
  name: WorkName;
  title: string;
  pattern: 'randread' | 'read';
  /** Bytes of a request. */
  blockSize: number;
  /** Requests in flight on each connection. */
  depth: number;
  connections: number;
  /** Which figures of a run count; goals refer to the first one. */
  metrics: readonly MetricName[];
}

export type MetricName = 'p50' | 'iops' | 'rate';

export interface Metric {
  unit: string;
  /** Whether a smaller figure is better. */
  less: boolean;
  digits: number;
}

export const METRICS: Readonly<Record<MetricName, Metric>> = {
  p50: { unit: 'p50 latency, us', less: true, digits: 1 },
  iops: { unit: 'IOPS', less: false, digits: 0 },
  rate: { unit: 'MB/s', less: false, digits: 0 },
};

const SMALL = 4096;
const LARGE = 256 * 1024;

export const WORKS: readonly Work[] = [
  {
    name: 'rand-qd1',
    title: '4 KiB random, QD1',
    pattern: 'randread',
    blockSize: SMALL,
    depth: 1,
    connections: 1,
    metrics: ['p50', 'iops'],
  },
  {
    name: 'rand-qd16',
    title: '4 KiB random, QD16, 1 connection',
    pattern: 'randread',
    blockSize: SMALL,
    depth: 16,
    connections: 1,
    metrics: ['iops'],
  },
  {
    name: 'rand-qd16x4',
    title: '4 KiB random, QD16, 4 connections',
    pattern: 'randread',
    blockSize: SMALL,
    depth: 16,
    connections: 4,
    metrics: ['iops'],
  },
  {
    name: 'seq-qd4',
    title: '256 KiB sequential, QD4, 1 connection',
    pattern: 'read',
    blockSize: LARGE,
    depth: 4,
    connections: 1,
    metrics: ['rate'],
  },
  {
    name: 'seq-qd4x2',
    title: '256 KiB sequential, QD4, 2 connections',
    pattern: 'read',
    blockSize: LARGE,
    depth: 4,
    connections: 2,
    metrics: ['rate'],
  },
];

/** @throws Error if there is none of that name */
export function findWork(name: WorkName): Work {
  const found = WORKS.find((each) => each.name === name);
  if (!found) throw new Error(`${name}: no such work`);
  return found;
}
