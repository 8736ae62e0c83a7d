// Each work on files, each from nothing: an empty cache, a new process, a new mount. Rivals take turns.
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DiskMount } from './disk-mount.js';
import { doWork, fileWorks, lookAtTree, type FileWork, type FileWorkName } from './file-works.js';
import { FrontProcess, type FrontCounts } from './front.js';
import { lengthOf, piecesRead } from './needed.js';
import type { Place } from './place.js';
import { nbdkit, RIVALS, serveRemote, traceFile, type Rival, type RivalName } from './rivals.js';

/** One run of one rival. */
export interface ColdSample extends FrontCounts {
  readonly rival: RivalName;
  readonly work: FileWorkName;
  readonly round: number;
  /** From the start of its first program to the end of the work. */
  readonly seconds: number;
  /** Whether it was ended before it was done. */
  readonly isEnded: boolean;
}

export interface ColdWork {
  readonly name: FileWorkName;
  readonly title: string;
  /** Bytes of the disk that the file system reads for it, each counted once. */
  readonly needed: number;
}

export interface ColdResult {
  readonly works: readonly ColdWork[];
  readonly samples: readonly ColdSample[];
}

export interface ColdOptions {
  readonly rounds: number;
  /** Milliseconds. */
  readonly latency: number;
  /** Bytes a second. */
  readonly rate: number;
}

/** What takes longer is measured once. */
const LONG_SECONDS = 25;
/** No further round begins after this time. */
const COLD_MS = 240_000;

export async function measureCold(
  options: ColdOptions,
  place: Place,
  folder: string,
  say: (line: string) => void,
): Promise<ColdResult> {
  const { works, needed, expected } = await look(place, folder);
  const cold = new Cold(options, place, folder);
  for (const work of works) await cold.record(work);
  const samples: ColdSample[] = [];
  const long = new Set<string>();
  const begin = performance.now();
  for (let round = 1; round <= options.rounds; round++) {
    if (performance.now() - begin > COLD_MS) {
      say(`no time for round ${round} of ${options.rounds}`);
      break;
    }
    for (const work of works) {
      for (const rival of RIVALS) {
        if (long.has(`${work.name} ${rival.name}`)) continue;
        const { sample, output } = await cold.measure(rival, work, round);
        if (output !== null && output !== expected.get(work.name)) {
          throw new Error(`${rival.about}: ${work.title}: ${output}, expected otherwise`);
        }
        samples.push(sample);
        const { seconds, bytes, requests } = sample;
        const facts = `${seconds.toFixed(2)} s, ${requests} requests, ${bytes} bytes`;
        say(`round ${round}: ${work.title}: ${rival.about}: ${facts}`);
        if (seconds > LONG_SECONDS) long.add(`${work.name} ${rival.name}`);
      }
    }
  }
  const described = works.map(({ name, title }) => ({
    name,
    title,
    needed: needed.get(name) ?? 0,
  }));
  return { works: described, samples };
}

/** Does each work on the local raw image: what it prints, and which bytes it needs. */
async function look(place: Place, folder: string) {
  const needed = new Map<FileWorkName, number>();
  const expected = new Map<FileWorkName, string | null>();
  const logged = async (name: string, use: (path: string) => unknown): Promise<number> => {
    const [socket, log] = [join(folder, `${name}.sock`), join(folder, `${name}.log`)];
    const server = nbdkit(socket, '--filter=log', 'file', place.rawImage, `logfile=${log}`);
    await mounted(server, folder, socket, use);
    return lengthOf(piecesRead(log));
  };
  let works: FileWork[] = [];
  await logged('look', (path) => (works = fileWorks(lookAtTree(path))));
  for (const work of works) {
    const pieces = await logged(work.name, async (path) => {
      expected.set(work.name, await doWork(work, path));
    });
    needed.set(work.name, pieces);
  }
  return { works, needed, expected };
}

type Server = ReturnType<typeof nbdkit>;

async function mounted<T>(
  server: Server,
  folder: string,
  socket: string,
  use: (path: string) => T,
): Promise<Awaited<T>> {
  (await server.connect()).close();
  const mount = await DiskMount.open(folder, socket);
  const result = await use(mount.path);
  await mount.close();
  await server.stop();
  return result;
}

class Cold {
  readonly #options: ColdOptions;
  readonly #place: Place;
  readonly #folder: string;

  constructor(options: ColdOptions, place: Place, folder: string) {
    this.#options = options;
    this.#place = place;
    this.#folder = folder;
  }

  /** Which chunks a work uses, and in which order, does not depend on the network. */
  async record(work: FileWork): Promise<void> {
    const front = await FrontProcess.start({ layout: this.#place.layout });
    const { folder, socket } = this.#begin('record', work.name);
    const more = ['--record-trace', traceFile(this.#folder, work.name)];
    const server = serveRemote({ front, folder, socket }, more);
    await mounted(server, folder, socket, (path) => doWork(work, path));
    await front.stop();
    rmSync(folder, { recursive: true });
  }

  async measure(
    rival: Rival,
    work: FileWork,
    round: number,
  ): Promise<{ sample: ColdSample; output: string | null }> {
    const { layout } = this.#place;
    const { latency, rate } = this.#options;
    const front = await FrontProcess.start({ layout, latency, rate });
    const { folder, socket } = this.#begin(rival.name, `${work.name}-${round}`);
    const trace = traceFile(this.#folder, work.name);
    const begin = performance.now();
    const server = await rival.start({ front, place: this.#place, folder, socket, trace });
    let seconds = 0;
    const output = await mounted(server, folder, socket, async (path) => {
      const printed = await doWork(work, path);
      seconds = (performance.now() - begin) / 1000;
      return printed;
    });
    const counts = await front.counts();
    await front.stop();
    rmSync(folder, { recursive: true });
    const isEnded = output === null;
    const sample = { rival: rival.name, work: work.name, round, seconds, isEnded, ...counts };
    return { sample, output };
  }

  #begin(who: string, what: string): { folder: string; socket: string } {
    const folder = join(this.#folder, `${who}-${what}`);
    mkdirSync(folder);
    return { folder, socket: join(folder, 's.sock') };
  }
}
