// The loads of the benchmark, and how their results are read. Data only.
import { findCase, type CaseName } from './cases.js';

export type LoadName =
  | 'rand-qd1'
  | 'rand-qd1-busy'
  | 'lean-qd1'
  | 'lean-qd1-busy'
  | 'rand-qd16'
  | 'lean-qd16'
  | 'rand-qd16x4'
  | 'lean-qd16x4'
  | 'seq-qd4'
  | 'seq-qd4x2';

export type ColdName = 'cold-qd1' | 'cold-qd8';

export type WorkName = LoadName | ColdName;

/** What every table of a comparison needs to know of its work. */
export interface AnyWork {
  name: WorkName;
  title: string;
  /** Requests in flight on each connection. */
  depth: number;
  /** Which figures of a run count; the first one has a chart. */
  metrics: readonly MetricName[];
  /** The servers that take part. If it is left out: all but those that are only in works that name them. */
  servers?: readonly CaseName[];
}

/** Reads of one size for some seconds, from the page cache. */
export interface Work extends AnyWork {
  name: LoadName;
  /** fio has its NBD engine, which takes 6 to 14 us a request; the lean client is test/bench/programs/nbd-load.cc. */
  client: 'fio' | 'lean';
  /** Whether every core has another program that never sleeps. */
  isBusy: boolean;
  pattern: 'randread' | 'read';
  /** Bytes of a request. */
  blockSize: number;
  connections: number;
}

/** A recorded trace from a disk that is not in the page cache. */
export interface ColdWork extends AnyWork {
  name: ColdName;
}

export type MetricName = 'p50' | 'p99' | 'iops' | 'rate' | 'cpuGb' | 'seconds';

export interface Metric {
  unit: string;
  /** Whether a smaller figure is better. */
  less: boolean;
  digits: number;
}

export const METRICS: Readonly<Record<MetricName, Metric>> = {
  p50: { unit: 'p50 latency, us', less: true, digits: 1 },
  p99: { unit: 'p99 latency, us', less: true, digits: 1 },
  iops: { unit: 'IOPS', less: false, digits: 0 },
  rate: { unit: 'MB/s', less: false, digits: 0 },
  cpuGb: { unit: 'CPU s/GB', less: true, digits: 3 },
  seconds: { unit: 'seconds', less: true, digits: 3 },
};

/** What a client measures in one run. */
export interface ClientResult {
  /** Microseconds from submission to completion, median and 99th percentile. */
  p50: number;
  p99: number;
  /** Requests a second. */
  iops: number;
  /** MB/s (10^6 bytes). */
  rate: number;
  requests: number;
}

const SMALL = 4096;
const LARGE = 256 * 1024;

/** How long a thread looks for the next request matters where there is one request at a time. */
const PING_PONG: readonly CaseName[] = [
  'obd-lsmt',
  'obd-lsmt-no-spin',
  'obd-lz4',
  'obd-lz4-no-spin',
  'obd-zstd',
  'obd-zstd-no-spin',
  'nbdkit',
  'qemu-nbd',
];
const LEAN: readonly CaseName[] = [
  'obd-lsmt',
  'obd-lz4',
  'obd-lz4-8',
  'obd-lz4-64k',
  'obd-zstd',
  'nbdkit',
  'qemu-nbd',
];

const random = {
  client: 'fio',
  isBusy: false,
  pattern: 'randread',
  blockSize: SMALL,
  depth: 16,
  connections: 1,
  metrics: ['iops'],
} as const;
const sequential = {
  client: 'fio',
  isBusy: false,
  pattern: 'read',
  blockSize: LARGE,
  depth: 4,
  connections: 1,
  metrics: ['rate', 'cpuGb'],
} as const;
const lean = { ...random, client: 'lean', metrics: ['iops', 'p50', 'p99'], servers: LEAN } as const;
/** What titles of busy works end with. */
export const BUSY_TITLE = ', every core busy';

export const WORKS: readonly Work[] = [
  { ...random, name: 'rand-qd1', title: '4 KiB random, QD1', depth: 1, metrics: ['p50', 'iops'] },
  {
    ...random,
    name: 'rand-qd1-busy',
    title: `4 KiB random, QD1${BUSY_TITLE}`,
    isBusy: true,
    depth: 1,
    metrics: ['iops', 'p50'],
    servers: PING_PONG,
  },
  {
    ...lean,
    name: 'lean-qd1',
    title: '4 KiB random, QD1, lean client',
    depth: 1,
    metrics: ['p50', 'p99', 'iops'],
    servers: PING_PONG,
  },
  {
    ...lean,
    name: 'lean-qd1-busy',
    title: `4 KiB random, QD1, lean client${BUSY_TITLE}`,
    isBusy: true,
    depth: 1,
    servers: PING_PONG,
  },
  { ...random, name: 'rand-qd16', title: '4 KiB random, QD16, 1 connection' },
  { ...lean, name: 'lean-qd16', title: '4 KiB random, QD16, 1 connection, lean client' },
  {
    ...random,
    name: 'rand-qd16x4',
    title: '4 KiB random, QD16, 4 connections',
    connections: 4,
  },
  {
    ...lean,
    name: 'lean-qd16x4',
    title: '4 KiB random, QD16, 4 connections, lean client',
    connections: 4,
  },
  { ...sequential, name: 'seq-qd4', title: '256 KiB sequential, QD4, 1 connection' },
  {
    ...sequential,
    name: 'seq-qd4x2',
    title: '256 KiB sequential, QD4, 2 connections',
    connections: 2,
  },
];

const COLD_SERVERS: readonly CaseName[] = ['obd-lsmt', 'obd-lz4', 'nbdkit'];

export const COLD_WORKS: readonly ColdWork[] = ([1, 8] as const).map((depth) => ({
  name: `cold-qd${depth}`,
  title: `Tree walk from a cold disk, QD${depth}`,
  depth,
  metrics: ['seconds', 'p50', 'p99'],
  servers: COLD_SERVERS,
}));

/** In the order of the tables. */
export const ALL_WORKS: readonly AnyWork[] = [...WORKS, ...COLD_WORKS];

/** @throws Error if there is none of that name */
export function findWork(name: WorkName): Work {
  const found = WORKS.find((each) => each.name === name);
  if (!found) throw new Error(`${name}: no such work`);
  return found;
}

/** Those of the servers that take part in a work. */
export function serversOf({ servers }: AnyWork, wanted: readonly CaseName[]): CaseName[] {
  return wanted.filter((name) => servers?.includes(name) ?? findCase(name).when !== 'named');
}
