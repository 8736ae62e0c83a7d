// The walk of walk.ts against servers whose files are not in the page cache. Each measurement has a new process.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findCase, type Case, type CaseName } from '../cases.js';
import { inTurn } from '../fleet.js';
import type { ImageForms } from '../forms.js';
import { cpuSeconds } from '../process-tree.js';
import { runProgram, type Programs } from '../programs.js';
import { makeSample, type Sample } from '../sample.js';
import { Server } from '../server.js';
import { serversOf, type ColdWork } from '../works.js';
import { walkReads } from './walk.js';

/** More of a file in the page cache means that it is not cold: its file system is in memory, or a program maps it. */
const MOST_RESIDENT = 0.05;
const DROP_MS = 120_000;
const REPLAY_MS = 300_000;

export interface ColdOptions {
  readonly works: readonly ColdWork[];
  readonly cases: readonly CaseName[];
  readonly rounds: number;
  /** The walk ends after this many reads. All of it if it is left out. */
  readonly mostReads?: number;
  /** No further round begins after this time. No limit if it is left out. */
  readonly mostSeconds?: number;
  readonly programs: Programs;
  readonly say: (line: string) => void;
}

interface Replayed {
  requests: number;
  bytes: number;
  seconds: number;
  /** Microseconds. */
  p50: number;
  p99: number;
}

/** @param folder for sockets and the trace @returns nothing if files stay in the page cache of this machine */
export async function measureColdWalk(
  options: ColdOptions,
  forms: ImageForms,
  folder: string,
): Promise<Sample[]> {
  const { works, cases, rounds, mostReads, mostSeconds = Infinity, say } = options;
  const cold = new ColdWalk(options, folder);
  for (const name of cases) cold.add(findCase(name), forms);
  const [raw = ''] = forms.form('raw').files;
  const reads = (await walkReads(raw, forms.virtualSize)).slice(0, mostReads);
  const trace = join(folder, 'walk.trace');
  writeFileSync(trace, reads.map(({ offset, length }) => `${offset} ${length}\n`).join(''));
  const samples: Sample[] = [];
  const begin = performance.now();
  for (let round = 1; round <= rounds; round++) {
    if (performance.now() - begin > mostSeconds * 1000) break;
    say(`cold walk of ${reads.length} reads: round ${round} of ${rounds}`);
    for (const work of works) {
      for (const name of inTurn(serversOf(work, cases), round)) {
        const sample = await cold.measure(name, work, round, trace);
        if (!sample) return [];
        samples.push(sample);
      }
    }
  }
  return samples;
}

class ColdWalk {
  readonly #options: ColdOptions;
  readonly #folder: string;
  readonly #served = new Map<CaseName, { served: Case; files: readonly string[] }>();

  constructor(options: ColdOptions, folder: string) {
    this.#options = options;
    this.#folder = folder;
  }

  add(served: Case, forms: ImageForms): void {
    this.#served.set(served.name, { served, files: forms.form(served.form).files });
  }

  async measure(
    name: CaseName,
    work: ColdWork,
    round: number,
    trace: string,
  ): Promise<Sample | null> {
    const { programs, say } = this.#options;
    const known = this.#served.get(name);
    if (!known) throw new Error(`${name}: not added`);
    const { served, files } = known;
    await this.#drop(files);
    const socket = join(this.#folder, `${name}-${work.name}-${round}.sock`);
    const server = new Server(served, files, socket);
    (await server.connect()).close();
    // The start has read some of it.
    const share = await this.#drop(files);
    if (share > MOST_RESIDENT) {
      const percent = (share * 100).toFixed(0);
      say(`NOT MEASURED: the cold walk: ${percent} % of ${files[0]} stays in the page cache`);
      await server.stop();
      return null;
    }
    const before = cpuSeconds(server.pid);
    const args = [socket, trace, `${work.depth}`];
    const options = { timeout: REPLAY_MS };
    const replayed = await runProgram<Replayed>(programs['nbd-replay'], args, options);
    const used = cpuSeconds(server.pid) - before;
    await server.stop();
    if (!replayed) throw new Error(`${name}: no result`);
    const { requests, bytes, seconds, p50, p99 } = replayed;
    const result = { requests, iops: requests / seconds, rate: bytes / 1e6 / seconds, p50, p99 };
    return makeSample({ server: name, work: work.name, round, result, cpuSeconds: used });
  }

  /** @returns which share of the files is in the page cache all the same */
  async #drop(files: readonly string[]): Promise<number> {
    const path = this.#options.programs['cold-files'];
    const dropped = await runProgram<{ size: number; resident: number }>(path, files, {
      timeout: DROP_MS,
    });
    return dropped ? dropped.resident / dropped.size : 1;
  }
}
