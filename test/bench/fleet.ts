// All servers of a comparison, and rounds of load that go through them in turn. It prints nothing.
import { findCase, type Case, type CaseName } from './cases.js';
import { runFio, type FioResult } from './fio.js';
import type { ImageForms } from './forms.js';
import { cpuSeconds, residentBytes } from './process-tree.js';
import { Server } from './server.js';
import type { Work, WorkName } from './works.js';

/** One measurement of one server. */
export interface Sample extends FioResult {
  server: CaseName;
  work: WorkName;
  round: number;
  /** Microseconds of processor time that the server used for each request. */
  cpu: number;
}

/** Resident memory of a server, in bytes. */
export interface Memory {
  server: CaseName;
  /** When it is ready, before the first client. */
  idle: number;
  /** After all rounds, with no client connected. */
  after: number;
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
  /** Called with the progress. */
  say: (line: string) => void;
}

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

  /** @throws Error if fio or a server fails */
  async rounds(steps: readonly Step[], options: RoundsOptions): Promise<Sample[]> {
    const { rounds, seconds, warmUp, say } = options;
    const samples: Sample[] = [];
    for (let round = warmUp > 0 ? 0 : 1; round <= rounds; round++) {
      say(round === 0 ? 'warming up' : `round ${round} of ${rounds}`);
      for (const { work, servers } of steps) {
        const wanted = this.#servers.filter((server) => servers.includes(server.case.name));
        for (const server of inTurn(wanted, round)) {
          const sample = await measure(server, work, round === 0 ? warmUp : seconds, round);
          if (round > 0) samples.push(sample);
        }
      }
    }
    return samples;
  }

  memory(): Memory[] {
    return this.#servers.map((server) => ({
      server: server.case.name,
      idle: this.#idle.get(server.case.name) ?? 0,
      after: residentBytes(server.pid),
    }));
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
): Promise<Sample> {
  const before = cpuSeconds(server.pid);
  let result: FioResult;
  try {
    result = await runFio(work, server.socket, seconds, round);
  } catch (error) {
    throw server.failure(String(error));
  }
  const cpu = ((cpuSeconds(server.pid) - before) * 1e6) / result.requests;
  return { server: server.case.name, work: work.name, round, ...result, cpu };
}

/** Each round begins with another server, so that no server always follows the same one. */
function inTurn<T>(things: readonly T[], round: number): T[] {
  if (things.length === 0) return [];
  const first = round % things.length;
  return [...things.slice(first), ...things.slice(0, first)];
}
