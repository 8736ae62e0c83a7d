// Threads for images whose layers are read as a whole, which takes as long as their registries take: images of one host have
// a share of them, so those of a host that is slow do not delay those of another.

import { parseReference } from '../registry/reference.js';
import type { ImageSource } from './image-source.js';
import type { OpenerLane } from './opener-lane.js';

/** Images of one host that are read as a whole at the same time. */
export const LANES_A_HOST = 2;
/** Of all hosts together. */
export const MAX_WHOLE_LANES = 8;

type Lane = Pick<OpenerLane, 'open' | 'close'>;
type Open = (lane: Lane) => void;

interface Waiting {
  readonly host: string;
  readonly begin: Open;
}

export class WholeLanes {
  readonly #lanes: Lane[] = [];
  readonly #free: Lane[] = [];
  readonly #make: () => Lane;
  /** Images that are being read, by host. */
  readonly #running = new Map<string, number>();
  /** In the order in which they came. */
  #waiting: Waiting[] = [];
  #isClosed = false;

  /** @param make a lane, whose thread starts with its first image */
  constructor(make: () => Lane) {
    this.#make = make;
  }

  /**
   * Has an image opened by a thread of its own, as soon as its host has one.
   * @returns what `open` of the lane returns
   */
  open(...image: Parameters<Lane['open']>): ReturnType<Lane['open']> {
    const [{ source }] = image;
    const host = hostOf(source);
    return new Promise((resolve, reject) => {
      const begin: Open = (lane) => {
        lane
          .open(...image)
          .finally(() => this.#ended(host, lane))
          .then(resolve, reject);
      };
      this.#waiting.push({ host, begin });
      this.#next();
    });
  }

  /** Ends the threads. What is asked for, and what waits, gets the error of a lane that is closed. */
  close(): void {
    this.#isClosed = true;
    for (const lane of this.#lanes) lane.close();
  }

  #ended(host: string, lane: Lane): void {
    const left = this.#runningOf(host) - 1;
    if (left > 0) this.#running.set(host, left);
    else this.#running.delete(host);
    this.#free.push(lane);
    this.#next();
  }

  #next(): void {
    for (;;) {
      const next = this.#chosen();
      const lane = next && this.#lane();
      if (!next || !lane) return;
      this.#waiting = this.#waiting.filter((each) => each !== next);
      this.#running.set(next.host, this.#runningOf(next.host) + 1);
      next.begin(lane);
    }
  }

  /** The first of the host that has the fewest lanes; null: all hosts of images that wait have their share. */
  #chosen(): Waiting | null {
    let best: Waiting | null = null;
    let fewest = LANES_A_HOST;
    for (const each of this.#waiting) {
      const running = this.#runningOf(each.host);
      if (running >= fewest) continue;
      best = each;
      fewest = running;
    }
    return best;
  }

  #lane(): Lane | null {
    const free = this.#free.pop();
    if (free) return free;
    if (this.#lanes.length >= MAX_WHOLE_LANES) return null;
    const lane = this.#make();
    this.#lanes.push(lane);
    if (this.#isClosed) lane.close();
    return lane;
  }

  #runningOf(host: string): number {
    return this.#running.get(host) ?? 0;
  }
}

/** The registry that has the layers; '': this machine. */
function hostOf({ blobs: [first] }: ImageSource): string {
  if (first?.kind === 'registry') return first.host;
  if (first?.kind !== 'image') return '';
  const reference = parseReference(first.reference);
  return reference.kind === 'registry' ? reference.host : '';
}
