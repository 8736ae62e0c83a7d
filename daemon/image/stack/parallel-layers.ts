// Opens several layers of an image at the same time that may have to be read as a whole, and says how far they are.

import { setImmediate as nextTurn } from 'node:timers/promises';
import { keyOfRef, type BlobRef } from '../../blob/blob-ref.js';
import { monotonicMs } from '../../lib/clock.js';
import type { Effort } from '../../lib/effort.js';
import { mapEach } from '../../lib/gate.js';

/** Layers that are read as a whole at the same time: one waits for its registry while another is inflated. */
const PARALLEL_LAYERS = 3;
/** Milliseconds: a layer whose bytes are all in the cache does not delay the fetches of other layers for longer. */
const TURN_MS = 20;

/** Ends the opening of a layer because another one has failed: nothing is wrong with its own bytes. */
class LayerStopped extends Error {}

/**
 * @param lowers all layers of the image, bottom first
 * @param sizes bytes of those that may have to be read as a whole, by the keys of their names
 * @param open opens one of them, with this effort
 * @throws what the first that failed has thrown, after all others have ended
 */
export async function openInParallel(
  lowers: readonly BlobRef[],
  sizes: ReadonlyMap<string, number>,
  effort: Effort,
  open: (ref: BlobRef, effort: Effort) => Promise<unknown>,
): Promise<void> {
  const total = [...sizes.values()].reduce((sum, size) => sum + size, 0);
  const done = new Map<string, number>();
  let failure: { readonly reason: unknown } | null = null;
  let lastTurn = monotonicMs();
  const turn = async (): Promise<void> => {
    await nextTurn();
    lastTurn = monotonicMs();
  };
  const refs = [...new Map(lowers.map((ref) => [keyOfRef(ref), ref]))];
  const wanted = refs.filter(([key]) => sizes.has(key));
  await mapEach(wanted, PARALLEL_LAYERS, async ([key, ref]) => {
    const layer = lowers.findIndex((each) => keyOfRef(each) === key) + 1;
    const tell = (bytes: number): void => {
      done.set(key, bytes);
      const sum = [...done.values()].reduce((all, each) => all + each, 0);
      effort.progress?.(sum, total, { layer, of: lowers.length });
    };
    const own: Effort = {
      spend: (units) => {
        // The others would go on for minutes.
        if (failure) throw new LayerStopped();
        effort.spend(units);
      },
      turn: () => effort.turn() ?? (lastTurn + TURN_MS < monotonicMs() ? turn() : null),
      keep: (bytes, blob) => effort.keep(bytes, blob),
      whole: (bytes) => effort.whole?.(bytes),
      progress: (bytes) => tell(bytes),
      heap: effort.heap,
    };
    try {
      await open(ref, own);
      done.set(key, sizes.get(key) ?? 0);
    } catch (error) {
      failure ??= { reason: error };
      throw failure.reason;
    }
  });
}
