// Threads that open large images of registries, which takes as long as the registries take. Images of one host have a share of
// them, and a thread that only waits for its registry takes no room from others: so no image waits for the registry of another.

import { parseReference } from '../registry/reference.js';
import { registryRefOf, type BlobRef } from '../blob/blob-ref.js';
import type { LoopTimes, OpenerLane } from './lane.js';
import { notWanted, WaitingOpenings, type WaitingOpening } from './waiting-openings.js';

/** Images of one host that are opened at the same time. */
export const LANES_A_HOST = 2;
/** For all hosts together, not counting lanes that wait for their hosts: they share processors and memory for decoding. */
export const MAX_BUSY_LANES = 8;
/**
 * With those that wait. A thread that waits takes 14 MiB of resident memory. From half of them on a host has only one.
 */
export const MAX_LANES = 32;

/** How long a lane is watched before it counts as waiting, and how often the daemon looks. */
const WATCH_MS = 1000;
/** It waits for its host if its thread works for less than this part of the time. */
const WORKING_PART = 0.5;

type Lane = Pick<OpenerLane, 'open' | 'close' | 'times'>;
type Open = (lane: Lane) => void;

interface Waiting extends WaitingOpening {
  readonly host: string;
  readonly begin: Open;
}

/** An image that is being opened. */
class Running {
  readonly host: string;
  readonly #lane: Lane;
  #last: LoopTimes | null;
  /** Whether its thread has worked most of the time it was watched. A thread that was not watched yet counts as busy. */
  isBusy = true;

  constructor(host: string, lane: Lane) {
    this.host = host;
    this.#lane = lane;
    this.#last = lane.times();
  }

  look(): void {
    const now = this.#lane.times();
    if (!now) return;
    const last = this.#last ?? { activeMs: 0, idleMs: 0 };
    const activeMs = now.activeMs - last.activeMs;
    const allMs = activeMs + now.idleMs - last.idleMs;
    if (allMs < WATCH_MS) return;
    this.#last = now;
    this.isBusy = activeMs >= allMs * WORKING_PART;
  }
}

export class HostLanes {
  readonly #lanes: Lane[] = [];
  readonly #free: Lane[] = [];
  readonly #make: () => Lane;
  readonly #running = new Set<Running>();
  readonly #waiting = new WaitingOpenings<Waiting>();
  #watching: NodeJS.Timeout | null = null;
  #isClosed = false;

  /** @param make a lane, whose thread starts with its first image */
  constructor(make: () => Lane) {
    this.#make = make;
  }

  /**
   * Has an image opened by a thread of its own, as soon as its host has one.
   * @param host as {@link hostOf} gives it
   * @param image as `open` of the lane takes it
   * @returns what `open` of the lane returns
   */
  open(host: string, ...image: Parameters<Lane['open']>): ReturnType<Lane['open']> {
    const [request, , cancelled] = image;
    if (cancelled?.aborted) {
      request.fetcher?.port.close();
      return Promise.reject(notWanted());
    }
    return new Promise((resolve, reject) => {
      const begin: Open = (lane) => {
        // The thread starts here, so its times start again.
        const opened = lane.open(...image);
        const running = new Running(host, lane);
        this.#running.add(running);
        void opened.finally(() => this.#ended(running, lane)).then(resolve, reject);
      };
      const waiting = { host, begin, request, reject };
      const cancel = (): void => {
        if (this.#waiting.refuse(waiting, notWanted())) this.#watch();
      };
      cancelled?.addEventListener('abort', cancel, { once: true });
      this.#waiting.add(waiting);
      this.#next();
    });
  }

  /** Ends the threads. What is asked for, and what waits, gets the error of a lane that is closed. */
  close(): void {
    this.#isClosed = true;
    if (this.#watching) clearInterval(this.#watching);
    for (const lane of this.#lanes) lane.close();
  }

  #ended(running: Running, lane: Lane): void {
    this.#running.delete(running);
    this.#free.push(lane);
    this.#next();
  }

  #next(): void {
    if (this.#waiting.length > 0 && !this.#isClosed) this.#running.forEach((each) => each.look());
    for (;;) {
      const next = this.#chosen();
      const lane = next && this.#lane();
      if (!next || !lane) break;
      this.#waiting.take(next);
      next.begin(lane);
    }
    this.#watch();
  }

  /** While images wait, lanes are watched: one that begins to wait for its host makes room. */
  #watch(): void {
    if (this.#waiting.length === 0 || this.#isClosed) {
      if (this.#watching) clearInterval(this.#watching);
      this.#watching = null;
      return;
    }
    this.#watching ??= setInterval(() => this.#next(), WATCH_MS).unref();
  }

  /** The first of the host that has the fewest lanes; null: all hosts of images that wait have their share. */
  #chosen(): Waiting | null {
    let best: Waiting | null = null;
    let fewest = this.#running.size < MAX_LANES / 2 ? LANES_A_HOST : 1;
    for (const each of this.#waiting) {
      const running = this.#runningOf(each.host);
      if (running >= fewest) continue;
      best = each;
      fewest = running;
    }
    return best;
  }

  #lane(): Lane | null {
    const busy = [...this.#running].filter(({ isBusy }) => isBusy).length;
    const isFull = busy >= MAX_BUSY_LANES || this.#running.size >= MAX_LANES;
    if (isFull) return null;
    const free = this.#free.pop();
    if (free) return free;
    const lane = this.#make();
    this.#lanes.push(lane);
    if (this.#isClosed) lane.close();
    return lane;
  }

  #runningOf(host: string): number {
    return [...this.#running].filter((each) => each.host === host).length;
  }
}

/** The first registry that has layers; '': this machine has all. */
export function hostOf(lowers: readonly BlobRef[]): string {
  for (const ref of lowers) {
    const remote = registryRefOf(ref);
    if (remote) return remote.host;
    if (ref.kind !== 'image') continue;
    const reference = parseReference(ref.reference);
    if (reference.kind === 'registry') return reference.host;
  }
  return '';
}
