// An image that is in the cache, and the registry is gone: how fast it is beside a local file, and how soon it is there.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Server } from '../server.js';
import { runFio } from '../fio.js';
import { threadSeconds } from '../process-tree.js';
import { findWork, type WorkName } from '../works.js';
import { FrontProcess } from './front.js';
import type { Place } from './place.js';
import { serve, serveRemote } from './rivals.js';

export type CachedState = 'complete' | 'partial';

export interface CachedFigures {
  /** IOPS, or MB/s. */
  readonly rate: number;
  /** Microseconds that all threads of the daemon ran for a request. */
  readonly cost: number;
}

/** One round: the image of the registry, and the local file with the same range. */
export interface CachedSample {
  readonly state: CachedState;
  readonly work: WorkName;
  readonly round: number;
  readonly remote: CachedFigures;
  readonly local: CachedFigures;
}

/** How an image starts: a file; with `--pull missing`; with a registry that refuses connections, or never answers. */
export type StartName = 'local' | 'refused' | 'missing' | 'silent';

export interface StartSample {
  readonly name: StartName;
  /** From exec to the end of the first read. */
  readonly milliseconds: number;
}

export interface CachedOptions {
  readonly rounds: number;
  /** Of the two slices of a round together. */
  readonly seconds: number;
}

const WORKS: readonly WorkName[] = ['rand-qd16', 'seq-qd4'];
const PIECE = 1 << 20;
const BLOCK = 4096;
/** The part of the disk that is read where an image is not complete: most images are never read as a whole. */
const PART = 3 / 4;
const STARTS = 5;
/** Each waits for seconds. */
const SILENT_STARTS = 2;
const COMPLETE_MS = 120_000;
const POLL_MS = 20;

/** One run of one server. */
interface Slice {
  readonly requests: number;
  readonly rate: number;
  readonly cpuSeconds: number;
}

async function slice(
  { socket, pid }: Server,
  name: WorkName,
  seconds: number,
  seed: number,
  part: number,
): Promise<Slice> {
  const before = threadSeconds(pid);
  const { requests, rate, iops } = await runFio(findWork(name), socket, seconds, seed, part);
  return {
    requests,
    rate: name === 'seq-qd4' ? rate : iops,
    cpuSeconds: threadSeconds(pid) - before,
  };
}

function figuresOf(slices: readonly Slice[]): CachedFigures {
  const sum = (of: (each: Slice) => number): number =>
    slices.reduce((total, each) => total + of(each), 0);
  const requests = sum((each) => each.requests);
  return {
    rate: sum(({ rate }) => rate) / slices.length,
    cost: (sum(({ cpuSeconds }) => cpuSeconds) * 1e6) / requests,
  };
}

export class CachedImage {
  readonly #place: Place;
  readonly #folder: string;
  readonly #size: number;
  readonly #front: FrontProcess;

  private constructor(place: Place, folder: string, size: number, front: FrontProcess) {
    this.#place = place;
    this.#folder = folder;
    this.#size = size;
    this.#front = front;
  }

  /**
   * Fetches the image into two caches: into one all of it, into the other what three quarters of the disk need.
   * @param size bytes of the disk
   */
  static async fetch(place: Place, folder: string, size: number): Promise<CachedImage> {
    const front = await FrontProcess.start({ layout: place.layout });
    const image = new CachedImage(place, folder, size, front);
    for (const state of ['complete', 'partial'] as const) {
      mkdirSync(image.#cache(state));
      const server = image.#serve(state, state === 'complete' ? ['--fill-rate', '100G'] : []);
      const client = await server.connect();
      const end = state === 'complete' ? size : size * PART;
      for (let at = 0; at < end; at += PIECE) await client.read(at, Math.min(PIECE, end - at));
      client.close();
      if (state === 'complete') await image.#complete();
      await server.stop();
    }
    await front.stop();
    return image;
  }

  async speed(
    { rounds, seconds }: CachedOptions,
    say: (line: string) => void,
  ): Promise<CachedSample[]> {
    const samples: CachedSample[] = [];
    for (const state of ['complete', 'partial'] as const) {
      const local = serve(this.#place.layer, this.#socket('local'));
      const remote = this.#serve(state);
      for (const each of [local, remote]) (await each.connect()).close();
      const part = state === 'complete' ? this.#size : this.#size * PART;
      for (let round = 0; round <= rounds; round++) {
        for (const work of WORKS) {
          const slices = new Map<Server, Slice[]>([
            [local, []],
            [remote, []],
          ]);
          // What drifts during a round meets both in the same way.
          const turns =
            round % 2 === 0 ? [local, remote, remote, local] : [remote, local, local, remote];
          for (const server of turns) {
            slices.get(server)?.push(await slice(server, work, seconds / 2, round, part));
          }
          if (round === 0) continue;
          const [ours, file] = [remote, local].map((server) => figuresOf(slices.get(server) ?? []));
          if (ours && file) samples.push({ state, work, round, remote: ours, local: file });
        }
        say(`cached: ${state}, round ${round} of ${rounds}`);
      }
      await remote.stop();
      await local.stop();
    }
    return samples;
  }

  async starts(): Promise<StartSample[]> {
    const rules = join(this.#folder, 'silent.json');
    writeFileSync(rules, JSON.stringify([{ match: {}, action: { do: 'stall' } }]));
    const samples: StartSample[] = [];
    const measure = async (name: StartName, isCounted: boolean): Promise<void> => {
      const milliseconds = await this.#start(name);
      if (isCounted) samples.push({ name, milliseconds });
    };
    // The first start sometimes finds cold caches.
    for (let start = 0; start <= STARTS; start++) {
      for (const name of ['local', 'missing', 'refused'] as const) await measure(name, start > 0);
    }
    const { layout } = this.#place;
    const silent = await FrontProcess.start({ layout, port: this.#front.port, rules });
    for (let start = 0; start < SILENT_STARTS; start++) await measure('silent', true);
    await silent.stop();
    return samples;
  }

  /** When its sha256 was checked, the blob has the name of its digest. */
  async #complete(): Promise<void> {
    const hex = this.#place.layerDigest.replace('sha256:', '');
    const folder = join(this.#cache('complete'), 'cache', 'v1', 'blobs', 'sha256');
    const blob = join(folder, hex.slice(0, 2), `${hex}.blob`);
    for (const late = performance.now() + COMPLETE_MS; !existsSync(blob); await sleep(POLL_MS)) {
      if (performance.now() > late) throw new Error(`${blob}: not there`);
    }
  }

  async #start(name: StartName): Promise<number> {
    const begin = performance.now();
    const server =
      name === 'local'
        ? serve(this.#place.layer, this.#socket(name))
        : this.#serve('complete', name === 'missing' ? ['--pull', 'missing'] : [], name);
    const client = await server.connect();
    await client.read(this.#size / 2, BLOCK);
    const milliseconds = performance.now() - begin;
    client.close();
    await server.stop();
    return milliseconds;
  }

  #serve(state: CachedState, more: readonly string[] = [], name: string = state): Server {
    const folder = this.#cache(state);
    return serveRemote({ front: this.#front, folder, socket: this.#socket(name) }, more);
  }

  #cache(state: CachedState): string {
    return join(this.#folder, `cached-${state}`);
  }

  #socket(name: string): string {
    return join(this.#folder, `cached-${name}.sock`);
  }
}
