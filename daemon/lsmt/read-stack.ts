// The entries of all layers of a stack in one log, and how many there may be.

import { OverlaybdError, type ProblemSink } from '../errors.js';
import type { Effort } from '../lib/effort.js';
import { EntryLog } from './entry-log.js';
import type { LsmtLayer } from './layer.js';

/**
 * Index entries of all layers of a stack, as their headers count them, padding included: an upper of the
 * greatest size on four lowers of the greatest size. They are in memory together while they are merged,
 * 28 bytes each.
 */
export const MAX_STACK_ENTRIES = 20_971_520;

/**
 * @param layers bottom first; those above them may be still to come
 * @throws OverlaybdError LIMIT when they have more than {@link MAX_STACK_ENTRIES}
 */
export function checkStackEntries(layers: readonly LsmtLayer[], name: string): void {
  const entries = layers.reduce((sum, { capacity }) => sum + capacity, 0);
  if (entries <= MAX_STACK_ENTRIES) return;
  throw new OverlaybdError(
    'LIMIT',
    `${name}: ${entries} index entries in its ${layers.length} lowest layers, at most ${MAX_STACK_ENTRIES} in a stack`,
  );
}

/**
 * Reads the indexes of all layers, the lowest first.
 * @param sink gets every broken rule; with the default of the openers the first one is thrown
 * @throws OverlaybdError LIMIT before anything is read, and what the layers throw
 */
export async function readStack(
  layers: readonly LsmtLayer[],
  name: string,
  effort: Effort,
  sink?: ProblemSink,
): Promise<EntryLog> {
  checkStackEntries(layers, name);
  // What a layer maps hides all of the same layer further down.
  const read = layers.filter((layer, i) => layers.lastIndexOf(layer) === i);
  const log = new EntryLog(read.reduce((sum, { capacity }) => sum + capacity, 0));
  for (const [number, layer] of layers.entries()) {
    if (layers.lastIndexOf(layer) === number) await layer.readEntries(log, number, effort, sink);
  }
  return log;
}
