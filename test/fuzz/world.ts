// Shared by all cases of a run: the exports, the memory, and the counts for the summary.
import { setImmediate as turn } from 'node:timers/promises';
import { EXTENT_DATA, EXTENT_HOLE, EXTENT_ZEROED, NO_LAYER } from '../../daemon/lib/extent-list.js';
import { CountingMemory, CountingPool } from './accounting.js';
import { ModelExport, SECTOR, type Mood, type Segment } from './model-export.js';
import { Random } from './random.js';

const MIB = 1 << 20;
/** Memory for long reads: for one of the longest, or for several shorter ones. */
export const LARGE_LIMIT = 2 * MIB;

const data = (length: number, layer = 0, mood: Mood = 'now'): Segment => ({
  length,
  kind: EXTENT_DATA,
  layer,
  mood,
});
const zeroed = (length: number, layer = 0): Segment => ({
  length,
  kind: EXTENT_ZEROED,
  layer,
  mood: 'now',
});
const hole = (length: number): Segment => ({
  length,
  kind: EXTENT_HOLE,
  layer: NO_LAYER,
  mood: 'now',
});

/** 2 MiB with every kind of segment; the first 600 KiB are always at hand. */
function mixed(): Segment[] {
  const random = new Random(3, 0);
  const moods: readonly Mood[] = ['now', 'late', 'cold', 'lost', 'throws', 'corrupt'];
  const segments = [data(700, 0), zeroed(9, 1), hole(300), data(31, 2), data(2, 3), hole(158)];
  // Many short extents: more than one lookup returns.
  for (let i = 0; i < 400; i++) segments.push(i % 2 === 0 ? data(1, i % 5) : hole(1));
  let left = (2 * MIB) / SECTOR - segments.reduce((sum, { length }) => sum + length, 0);
  while (left > 0) {
    const length = Math.min(left, random.between(1, 150));
    const layer = random.below(200);
    const mood = random.weighted([6, 'now' as Mood], [6, random.pick(moods)]);
    segments.push(
      random.weighted(
        [5, data(length, layer, mood)],
        [2, zeroed(length, layer)],
        [2, hole(length)],
      ),
    );
    left -= length;
  }
  return segments;
}

export class World {
  /** All exports. */
  readonly exports: readonly ModelExport[];
  readonly sendBuffers = new CountingPool();
  readonly largeMemory = new CountingMemory(undefined, LARGE_LIMIT);
  /** The counts of everything that was seen. */
  readonly seen = new Map<string, number>();
  /** Errors that no caller can catch: in callbacks, and in the process. */
  readonly failures: string[] = [];
  /** Requests that wait for bytes: no request waits for more than one thing at a time. */
  waiting = 0;
  /** How many turns of the loop a fetch takes. */
  #turns = new Random(0, 0);

  constructor() {
    const delay = async (): Promise<void> => {
      this.waiting++;
      for (let i = this.#turns.below(4); i >= 0; i--) await turn();
      this.waiting--;
    };
    const huge = [data(128, 0), zeroed(8, 1), data(64, 2, 'late'), hole(32_568)];
    this.exports = [
      new ModelExport('mixed', 2 * MIB, mixed(), delay),
      new ModelExport('huge', 2 ** 40, huge, delay),
      // Its ranges are so long that no code may go through them step by step.
      new ModelExport('void', 2 ** 50, [data(128), hole(2 ** 31 - 128)], delay),
      new ModelExport('odd \u00e9', 777, [data(2)], delay),
    ];
  }

  /** Nothing of the previous case remains, so that a case can be repeated alone. */
  startCase(random: Random): void {
    this.#turns = random;
    for (const each of this.exports) each.forget();
  }

  count(what: string): void {
    this.seen.set(what, (this.seen.get(what) ?? 0) + 1);
  }
}
