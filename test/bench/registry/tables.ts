// Results of `--registry` as tables. Text only.
import { cellsOf, table } from '../report.js';
import { spreadOf } from '../summary.js';
import type { Chain } from './chains.js';
import type { ColdResult, ColdWork } from './cold.js';
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
    const bytes = median((sample) => sample.bytes);
    return [
      [
        about,
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
