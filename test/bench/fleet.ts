// All servers of a comparison, and rounds of load that go through them in turn. It prints nothing.
import { setTimeout as sleep } from 'node:timers/promises';
import { Burners } from './burners.js';
import { findCase, type Case, type CaseName } from './cases.js';
import { runFio } from './fio.js';
import type { Floors } from './floors.js';
import type { ImageForms } from './forms.js';
import { runLean } from './lean.js';
import { cpuSeconds, residentBytes, threadSeconds } from './process-tree.js';
import type { Programs } from './programs.js';
import { makeSample, type Sample } from './sample.js';
import { Server } from './server.js';
import type { ClientResult, Work } from './works.js';

/** Resident memory of a server, in bytes. */
export interface Memory {
  server: CaseName;
  /** When it is ready, before the first client. */
  idle: number;
  /** After all rounds, with no client connected. */
  after: number;
}

/** What a server without requests uses. */
export interface IdleTime {
  server: CaseName;
  seconds: number;
  /** Seconds of processor time. */
  used: number;
}

/** The content of a round: one work on some of the servers. */
export interface Step {
  work: Work;
  servers: readonly CaseName[];
}

export interface RoundsOptions {
  rounds: number;
  /** Seconds of one measurement; may be a fraction. */
  seconds: number;
  /** Seconds of a first round that is not counted: programs reach full speed, buffers their size. */
  warmUp: number;
  programs: Programs;
  floors: Floors;
  /** Called with the progress. */
  say: (line: string) => void;
}

/** A floor uses one thread and no other program, so it needs no long run. */
const FLOOR_SECONDS = 1;

/** Servers that run at the same time; one is loaded at a time, the others are idle. */
export class Fleet {
  readonly #servers: Server<Case>[] = [];
  readonly #idle = new Map<CaseName, number>();

  /**
   * Starts the servers one after the other, and compares blocks all over each export with the image.
   * @param folder for sockets
   * @throws Error when a server fails; those left are killed when this process ends
   */
  static async start(
    cases: readonly CaseName[],
    forms: ImageForms,
    folder: string,
  ): Promise<Fleet> {
    const fleet = new Fleet();
    const [raw = ''] = forms.form('raw').files;
    for (const name of cases) {
      const served = findCase(name);
      const server = new Server(served, forms.form(served.form).files, `${folder}/${name}.sock`);
      fleet.#servers.push(server);
      (await server.connect()).close();
      fleet.#idle.set(name, residentBytes(server.pid));
      await server.check(raw, forms.virtualSize);
    }
    return fleet;
  }

  /** @throws Error if a client or a server fails */
  async rounds(steps: readonly Step[], options: RoundsOptions): Promise<Sample[]> {
    const { rounds, seconds, warmUp, floors, say } = options;
    const works = steps.map(({ work }) => work);
    const samples: Sample[] = [];
    for (let round = warmUp > 0 ? 0 : 1; round <= rounds; round++) {
      say(round === 0 ? 'warming up' : `round ${round} of ${rounds}`);
      const length = round === 0 ? warmUp : seconds;
      const measured = await floors.measure(works, Math.min(length, FLOOR_SECONDS), round);
      for (const step of steps) measured.push(...(await this.#step(step, length, round, options)));
      if (round > 0) samples.push(...measured);
    }
    return samples;
  }

  async #step(
    { work, servers }: Step,
    seconds: number,
    round: number,
    { programs }: RoundsOptions,
  ): Promise<Sample[]> {
    const wanted = this.#servers.filter((server) => servers.includes(server.case.name));
    const burners = work.isBusy ? await Burners.start(programs.burner) : null;
    try {
      const samples: Sample[] = [];
      for (const server of inTurn(wanted, round)) {
        samples.push(await measure(server, work, seconds, round, programs));
      }
      return samples;
    } finally {
      await burners?.stop();
    }
  }

  memory(): Memory[] {
    return this.#servers.map((server) => ({
      server: server.case.name,
      idle: this.#idle.get(server.case.name) ?? 0,
      after: residentBytes(server.pid),
    }));
  }

  /** Leaves all servers alone for some seconds. */
  async idle(seconds: number): Promise<IdleTime[]> {
    const before = this.#servers.map(({ pid }) => threadSeconds(pid));
    await sleep(seconds * 1000);
    return this.#servers.map((server, i) => {
      const used = threadSeconds(server.pid) - (before[i] ?? 0);
      return { server: server.case.name, seconds, used };
    });
  }

  async stop(): Promise<void> {
    for (const server of this.#servers) await server.stop();
  }
}

async function measure(
  server: Server<Case>,
  work: Work,
  seconds: number,
  round: number,
  programs: Programs,
): Promise<Sample> {
  const before = cpuSeconds(server.pid);
  let result: ClientResult;
  try {
    result =
      work.client === 'fio'
        ? await runFio(work, server.socket, seconds, round)
        : await runLean(programs['nbd-load'], work, server.socket, seconds, round);
  } catch (error) {
    throw server.failure(String(error));
  }
  const used = cpuSeconds(server.pid) - before;
  return makeSample({
    server: server.case.name,
    work: work.name,
    round,
    result,
    cpuSeconds: used,
  });
}

/** Each round begins with another server, so that no server always follows the same one. */
export function inTurn<T>(things: readonly T[], round: number): T[] {
  if (things.length === 0) return [];
  const first = round % things.length;
  return [...things.slice(first), ...things.slice(0, first)];
}
