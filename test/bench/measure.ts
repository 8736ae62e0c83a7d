// The measurements under load: rounds that go through all servers in turn. It prints nothing.
import { findCase, type CaseName } from './cases.js';
import { runFio, type FioResult } from './fio.js';
import type { ImageForms } from './forms.js';
import { cpuSeconds, residentBytes } from './process-tree.js';
import { Server } from './server.js';
import { WORKS, type Work, type WorkName } from './works.js';

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
  /** Ready, and no client has come yet. */
  idle: number;
  /** After all rounds, no client connected. */
  after: number;
}

export interface Load {
  samples: Sample[];
  memory: Memory[];
}

export interface LoadOptions {
  rounds: number;
  seconds: number;
  cases: readonly CaseName[];
  works: readonly WorkName[];
}

const WARM_UP_SECONDS = 1;

/**
 * Starts every server and loads one at a time; the others sit idle.
 * @param folder for sockets
 * @param say told where it is
 * @throws Error when fio or a server fails; no server is left running then when the process ends
 */
export async function measureLoad(
  options: LoadOptions,
  forms: ImageForms,
  folder: string,
  say: (line: string) => void,
): Promise<Load> {
  const [raw = ''] = forms.form('raw').files;
  const works = WORKS.filter(({ name }) => options.works.includes(name));
  const servers: Server[] = [];
  const idle = new Map<CaseName, number>();
  for (const name of options.cases) {
    const served = findCase(name);
    const server = new Server(served, forms.form(served.form).files, `${folder}/${name}.sock`);
    servers.push(server);
    (await server.connect()).close();
    idle.set(name, residentBytes(server.pid));
    await server.check(raw, forms.virtualSize);
  }
  const samples: Sample[] = [];
  // Round 0 is not counted: programs reach their full speed, buffers their size.
  for (let round = 0; round <= options.rounds; round++) {
    say(round === 0 ? 'warming up' : `round ${round} of ${options.rounds}`);
    const seconds = round === 0 ? WARM_UP_SECONDS : options.seconds;
    for (const work of works) {
      for (const server of inTurn(servers, round)) {
        const sample = await measure(server, work, seconds, round);
        if (round > 0) samples.push(sample);
      }
    }
  }
  const memory = servers.map((server) => ({
    server: server.case.name,
    idle: idle.get(server.case.name) ?? 0,
    after: residentBytes(server.pid),
  }));
  for (const server of servers) await server.stop();
  return { samples, memory };
}

async function measure(
  server: Server,
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

/** Each round begins with another server, so that none always follows the same one. */
function inTurn<T>(things: readonly T[], round: number): T[] {
  const first = round % things.length;
  return [...things.slice(first), ...things.slice(0, first)];
}
