// Results of `--registry` as tables. Text only.
import { cellsOf, table } from '../report.js';
import { spreadOf } from '../summary.js';
import { findWork } from '../works.js';
import type { CachedFigures, CachedSample, StartName, StartSample } from './cached.js';
import type { Chain } from './chains.js';
import type { ColdResult, ColdWork } from './cold.js';
import type { FetchSample } from './fetching.js';
import type { RemoteMemory } from './remote-memory.js';
import { RIVALS, type RivalName } from './rivals.js';

const MIB = 1 << 20;

export function chainTable(chains: readonly Chain[]): string {
  const head = ['Cold opening', 'longest chain', 'requests', 'from exec, s'];
  const body = chains.map(({ about, trips, requests, seconds }) => [
    about,
    `${trips}`,
    `${requests}`,
    seconds.toFixed(2),
  ]);
  return table([head, ...body]);
}

/** A table for each work. */
export function coldTables(cold: ColdResult): string[] {
  return cold.works.map((work) => coldTable(cold, work));
}

function coldTable(cold: ColdResult, { name, title, needed }: ColdWork): string {
  const samplesOf = (rival: RivalName) =>
    cold.samples.filter((sample) => sample.work === name && sample.rival === rival);
  const ours = new Map(samplesOf('ours').map(({ round, seconds }) => [round, seconds]));
  const body = RIVALS.flatMap(({ name: rival, about }) => {
    const samples = samplesOf(rival);
    if (samples.length === 0) return [];
    const median = (of: (sample: (typeof samples)[number]) => number): number =>
      spreadOf(samples.map((sample) => of(sample))).median;
    const isEnded = samples.some((sample) => sample.isEnded);
    const bytes = median((sample) => sample.bytes);
    return [
      [
        isEnded ? `${about}: ended, not done` : about,
        ...cellsOf(spreadOf(samples.map(({ seconds }) => seconds)), 2),
        median(({ seconds, round }) => seconds / (ours.get(round) ?? Number.NaN)).toFixed(2),
        (bytes / MIB).toFixed(1),
        (bytes / needed).toFixed(2),
        median(({ requests }) => requests).toFixed(0),
      ],
    ];
  });
  const what = `${title}, needs ${(needed / MIB).toFixed(1)} MiB of the disk: seconds`;
  const head = [what, 'median', 'min', 'max', 'x ours', 'MiB fetched', 'x needed', 'requests'];
  return table([head, ...body]);
}

/** The image in the cache, divided by a local file in the same round: speed, and what a request costs the daemon. */
export function cachedTable(samples: readonly CachedSample[]): string {
  const groups = groupedBy(samples, ({ state, work }) => `${state} ${work}`);
  const rows = (
    what: string,
    of: (figures: CachedFigures) => number,
    digits: number,
  ): readonly string[][] =>
    groups.map((group) => {
      const [{ state, work } = { state: 'complete', work: 'rand-qd16' } as const] = group;
      const about = state === 'complete' ? 'all of it cached' : 'three quarters cached';
      const ratios = group.map(({ remote, local }) => of(remote) / of(local));
      const median = (side: 'remote' | 'local'): string =>
        spreadOf(group.map((sample) => of(sample[side]))).median.toFixed(digits);
      return [
        `${findWork(work).title}, ${about}: ${what}`,
        ...quartiles(ratios).map((each) => each.toFixed(3)),
        median('remote'),
        median('local'),
      ];
    });
  const pairs = Math.max(0, ...groups.map(({ length }) => length));
  const head = [
    `Cached image, LZ4: x local file, ${pairs} pairs`,
    'quarter',
    'median',
    '3 quarters',
    'cached',
    'file',
  ];
  return table([
    head,
    ...rows('IOPS or MB/s', ({ rate }) => rate, 0),
    ...rows('CPU of a request, us', ({ cost }) => cost, 2),
  ]);
}

function quartiles(values: readonly number[]): number[] {
  const sorted = values.toSorted((a, b) => a - b);
  return [0.25, 0.5, 0.75].map((part) => sorted[Math.round((sorted.length - 1) * part)] ?? NaN);
}

const STARTS: Readonly<Record<StartName, string>> = {
  local: 'the layer as a local file',
  missing: 'cached, `--pull missing`, the registry refuses connections',
  refused: 'cached, the registry refuses connections',
  silent: 'cached, the registry never answers',
};

export function startsTable(samples: readonly StartSample[]): string {
  const body = groupedBy(samples, ({ name }) => name).map((group) => [
    STARTS[group[0]?.name ?? 'local'],
    ...cellsOf(spreadOf(group.map(({ milliseconds }) => milliseconds)), 0),
  ]);
  return table([['From exec to the first read, ms', 'median', 'min', 'max'], ...body]);
}

export function fetchTable(samples: readonly FetchSample[]): string {
  const body = groupedBy(samples, ({ wire }) => wire).map((group) => {
    const median = (of: (sample: FetchSample) => number): number =>
      spreadOf(group.map((sample) => of(sample))).median;
    return [
      group[0]?.wire ?? '',
      ...cellsOf(spreadOf(group.map(({ rate }) => rate)), 0, 1e6),
      median(({ fetcher }) => fetcher).toFixed(0),
      median(({ all }) => all).toFixed(0),
      `${(median(({ busy }) => busy) * 100).toFixed(0)} %`,
    ];
  });
  const cost = ['us/chunk', 'us/chunk, all threads', 'busy'];
  return table([['One fetcher, MB/s', 'median', 'min', 'max', ...cost], ...body]);
}

export function remoteMemoryTable(samples: readonly RemoteMemory[]): string {
  const body = groupedBy(samples, ({ images }) => `${images}`).flatMap((group) => {
    const about = `images of 3 layers: ${group[0]?.images ?? 0}`;
    return [
      [about, ...cellsOf(spreadOf(group.map(({ idle }) => idle)), 1, MIB)],
      [`${about}, all read`, ...cellsOf(spreadOf(group.map(({ after }) => after)), 1, MIB)],
    ];
  });
  return table([['Resident memory, MiB', 'median', 'min', 'max'], ...body]);
}

function groupedBy<T>(things: readonly T[], keyOf: (thing: T) => string): T[][] {
  const groups = new Map<string, T[]>();
  for (const thing of things) {
    const key = keyOf(thing);
    groups.set(key, [...(groups.get(key) ?? []), thing]);
  }
  return [...groups.values()];
}
