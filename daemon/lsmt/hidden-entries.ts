// The entries that the visible one hides and that end after it. Finds the one among them that was
// written last. The end of an entry modulo 2^14 is its key: no entry is longer than 2^14 - 1 sectors,
// so two entries that cover the same sector have the same key only if they end at the same sector, and
// then only the later one counts. A tournament tree of 2^14 places thus bounds memory and time for
// every pattern of writes.

import { MAX_ENTRY_LENGTH } from './entry-log.js';

const PLACES = MAX_ENTRY_LENGTH + 1;
/** The time of an empty place; real times begin at 1. */
const NONE = 0;

/** Units: sectors. */
export class HiddenEntries {
  readonly #times = new Uint32Array(PLACES);
  readonly #ends = new Float64Array(PLACES);
  readonly #shifts = new Float64Array(PLACES);
  readonly #tags = new Uint32Array(PLACES);
  /** Node n holds the place that won among its children 2n and 2n+1. The root is 1. */
  readonly #winners = new Uint16Array(PLACES);
  #isEmpty = true;
  #takenTime = NONE;

  constructor() {
    // Even before the first game, the winner of a node must be a place below that node.
    for (let node = PLACES - 1; node > 0; node--) {
      const child = 2 * node;
      this.#winners[node] = child < PLACES ? (this.#winners[child] as number) : child - PLACES;
    }
  }

  /** The time of writing of the entry that was taken last. */
  get time(): number {
    return this.#takenTime - 1;
  }

  endOf(place: number): number {
    return this.#ends[place] as number;
  }

  shiftOf(place: number): number {
    return this.#shifts[place] as number;
  }

  tagOf(place: number): number {
    return this.#tags[place] as number;
  }

  /**
   * Adds the rest of an entry.
   * @param shift offset in the layer minus offset in the device
   */
  add(end: number, shift: number, tag: number, time: number): void {
    const place = (end >>> 0) % PLACES;
    // An entry with another end at this place has ended long ago: replace it.
    if (this.#ends[place] === end && (this.#times[place] as number) > time + 1) return;
    this.#times[place] = time + 1;
    this.#ends[place] = end;
    this.#shifts[place] = shift;
    this.#tags[place] = tag;
    this.#replay(place);
    this.#isEmpty = false;
  }

  /**
   * Removes the entry that was written last among those that end after `sector`.
   * @returns the place with its values, which stay there until the next add(); -1 if there is none
   */
  take(sector: number): number {
    while (!this.#isEmpty) {
      const place = this.#winners[1] as number;
      if (this.#times[place] === NONE) {
        this.#isEmpty = true;
        break;
      }
      this.#takenTime = this.#times[place] as number;
      this.#times[place] = NONE;
      this.#replay(place);
      if ((this.#ends[place] as number) > sector) return place;
    }
    return -1;
  }

  /** Replays the games on the path from a place to the root. */
  #replay(place: number): void {
    const times = this.#times;
    const winners = this.#winners;
    const leaf = (PLACES + place) >>> 1;
    const pair = place & ~1;
    let winner = (times[pair] as number) >= (times[pair + 1] as number) ? pair : pair + 1;
    winners[leaf] = winner;
    for (let node = leaf; node > 1; node >>>= 1) {
      const rival = winners[node ^ 1] as number;
      if ((times[rival] as number) > (times[winner] as number)) winner = rival;
      winners[node >>> 1] = winner;
    }
  }
}
