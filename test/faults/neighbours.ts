// How much a healthy export loses while 1 or 8 others fail: its reads a second with faults against those without, in
// short windows that alternate, so that other work on the machine meets both. The others are read at the same pace in both.
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { Test } from 'tap';
import { seededRandom } from '../support/pattern.js';
import type { RawNbdClient } from '../support/nbd-client.js';
import { FAULTS, type Fault } from '../support/registry/faults.js';
import { comparePatiently, openPatiently, readOrError } from '../support/registry/remote-image.js';
import type { FaultOptions } from './options.js';
import { startSickWorld, type Sick, type SickWorld } from './sick-exports.js';
import type { SteadyTask } from './steady-reader.js';

/** Exports that fail at the same time. */
const GROUPS = [1, 8];
const MOST = 8;
/** Seconds of a read of an export that fails. */
const DEADLINE = 2;
/** Shorter than what other work on the machine takes, which then meets both windows of a pair. */
const WINDOW_MS = 400;
/** Bytes of a read. */
const LENGTH = 4096;
/** Between two reads of an export that may fail: an error that comes at once must not make a loop of errors. */
const PAUSE_MS = 25;
/** Of its reads without faults. */
const LEAST = 0.9;

/** @param options `count`: windows of each kind for each group; the faults take turns */
export async function neighbours(t: Test, { count, seed, size }: FaultOptions): Promise<void> {
  const faults = FAULTS.filter((fault) => fault.lasting !== null);
  const world = await startSickWorld(t, faults.slice(0, MOST), () => ({}), DEADLINE, size);
  const { daemon, sick, healthy } = world;
  const reads = await SteadyReads.start(t, world);
  for (const group of GROUPS) {
    const ratios: number[] = [];
    /** Against windows in which nothing else is read: what the work for the others takes is in it, too. */
    const toIdle: number[] = [];
    for (let i = 0; i < count; i++) {
      const chosen = Array.from({ length: group }, (_, k) => {
        return faults[(seed + i * group + k) % faults.length] as Fault;
      });
      const rate = (these: readonly Fault[]): Promise<number> =>
        whileRead(sick.slice(0, group), these, seed + i, () => reads.rate());
      const first = i % 2 === 0 ? await rate(chosen) : null;
      const without = await rate([]);
      const failing = first ?? (await rate(chosen));
      ratios.push(failing / without);
      toIdle.push(failing / (await reads.rate()));
    }
    const [low, middle, high] = spread(ratios);
    const what = `${group} of ${MOST} exports fail`;
    const figures = `${middle} of the reads without faults, half of ${count} pairs from ${low} to ${high}`;
    t.comment(`${what}: ${spread(toIdle)[1]} of the reads while the others are idle`);
    t.ok(middle >= LEAST, `${what}: ${figures}`);
  }
  t.equal(await reads.end(), 0, 'no read of the healthy export failed');
  t.equal(healthy.front.log.duplicateBytes(), 0);
  for (const { client } of sick) client.destroy();
  await daemon.stop(t);
}

/**
 * Has clients read exports all the time while something is measured.
 * @param faults of each; none if there are none
 */
async function whileRead<T>(
  sick: readonly Sick[],
  faults: readonly Fault[],
  seed: number,
  measured: () => Promise<T>,
): Promise<T> {
  for (const [i, { action }] of faults.entries()) {
    sick[i]?.front.rule({ match: { kind: 'data' }, action });
  }
  let isOver = false;
  const readers = sick.map(({ client, files }, i) =>
    readMissing(client, files.device.length, seededRandom(seed * MOST + i), () => isOver),
  );
  const result = await measured();
  isOver = true;
  // What waits for a fault is answered when it has gone, and must not be read in the next window.
  for (const { front } of sick) front.rules.clear();
  await Promise.all(readers);
  return result;
}

async function readMissing(
  client: RawNbdClient,
  size: number,
  random: () => number,
  isOver: () => boolean,
): Promise<void> {
  while (!isOver()) {
    const offset = (random() % ((size - LENGTH) / 512)) * 512;
    await readOrError(client, offset, LENGTH);
    await pause(PAUSE_MS);
  }
}

class SteadyReads {
  readonly #counts: Int32Array<SharedArrayBuffer>;
  readonly #worker: Worker;

  private constructor(worker: Worker, counts: Int32Array<SharedArrayBuffer>) {
    this.#worker = worker;
    this.#counts = counts;
  }

  static async start(t: Test, { daemon, healthy }: SickWorld): Promise<SteadyReads> {
    const client = await openPatiently(daemon.unix, 'healthy');
    t.equal(await comparePatiently(client, healthy.files.device), null);
    client.destroy();
    const counters = new SharedArrayBuffer(12);
    const task: SteadyTask = {
      socketPath: daemon.socketPath,
      export: 'healthy',
      size: healthy.files.device.length,
      length: LENGTH,
      counters,
    };
    const worker = new Worker(new URL('./steady-reader.js', import.meta.url), { workerData: task });
    t.teardown(() => worker.terminate());
    const reads = new SteadyReads(worker, new Int32Array(counters));
    while (Atomics.load(reads.#counts, 0) === 0) await pause(10);
    return reads;
  }

  /** Reads a second, in one window. */
  async rate(): Promise<number> {
    const before = Atomics.load(this.#counts, 0);
    const begin = performance.now();
    await pause(WINDOW_MS);
    const done = Atomics.load(this.#counts, 0) - before;
    return done / (performance.now() - begin);
  }

  /** @returns how many reads failed */
  async end(): Promise<number> {
    Atomics.store(this.#counts, 2, 1);
    await once(this.#worker, 'exit');
    return Atomics.load(this.#counts, 1);
  }
}

/** Quartiles. */
function spread(ratios: readonly number[]): [low: number, middle: number, high: number] {
  const sorted = ratios.toSorted((a, b) => a - b);
  const at = (part: number): number =>
    Math.round((sorted[Math.round((sorted.length - 1) * part)] ?? NaN) * 1000) / 1000;
  return [at(0.25), at(0.5), at(0.75)];
}
