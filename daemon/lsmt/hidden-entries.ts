// The entries that lie below another one at some place of the device and end behind it: which of them
// was written last. They are known by where they end: no entry is longer than 2^14 - 1 sectors, so that
// the ends of all that cover a place differ within 14 bits, and of two with the same end the later one
// counts. That bounds both memory and time, whatever is written over whatever: a tournament of 2^14
// places.

import { MAX_ENTRY_LENGTH } from './entry-log.js';

const PLACES = MAX_ENTRY_LENGTH + 1;
/** Times begin at 1: nobody has this place. */
const NONE = 0;

/** Units: sectors. */
export class HiddenEntries {
  readonly #times = new Uint32Array(PLACES);
  readonly #ends = new Float64Array(PLACES);
  readonly #shifts = new Float64Array(PLACES);
  readonly #tags = new Uint32Array(PLACES);
  /** Node n has the place that won among its children 2n and 2n+1; the root is 1. */
  readonly #winners = new Uint16Array(PLACES);
  #isEmpty = true;
  #takenTime = NONE;

  constructor() {
    // Every winner is one of its own half, also before there was a game.
    for (let node = PLACES - 1; node > 0; node--) {
      const child = 2 * node;
      this.#winners[node] = child < PLACES ? (this.#winners[child] as number) : child - PLACES;
    }
  }

  /** Of the one that was taken last. */
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
   * Adds what is left of an entry.
   * @param shift what is added to an offset in the device to get that in the layer
   */
  add(end: number, shift: number, tag: number, time: number): void {
    const place = (end >>> 0) % PLACES;
    // One with another end has ended long ago.
    if (this.#ends[place] === end && (this.#times[place] as number) > time + 1) return;
    this.#times[place] = time + 1;
    this.#ends[place] = end;
    this.#shifts[place] = shift;
    this.#tags[place] = tag;
    this.#replay(place);
    this.#isEmpty = false;
  }

  /**
   * Takes out the one that was written last, of those that end behind `sector`.
   * @returns the place where its values are until the next one is added; -1 when there is none
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

  /** Plays the games of one place again. */
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
