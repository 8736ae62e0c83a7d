// Reads the index entries of all layers of a stack into one log, and limits their number.

import { OverlaybdError, type ProblemSink } from '../errors.js';
import { counted } from '../lib/counted.js';
import type { Effort } from '../lib/effort.js';
import { EntryLog } from './entry-log.js';
import type { LsmtLayer } from './layer.js';

/**
 * Index entries of all layers of a stack, padding included, as the headers give them. Enough for one
 * upper and four lowers of the greatest size. While they are merged they are all in memory, at 28 bytes
 * each.
 */
const MAX_STACK_ENTRIES = 20_971_520;

/**
 * @param layers the lowest layers, bottom first; the caller may not have opened the others yet
 * @throws OverlaybdError LIMIT if they have more than {@link MAX_STACK_ENTRIES}
 */
export function checkStackEntries(layers: readonly LsmtLayer[], name: string): void {
  const entries = layers.reduce((sum, { capacity }) => sum + capacity, 0);
  if (entries <= MAX_STACK_ENTRIES) return;
  throw new OverlaybdError(
    'LIMIT',
    `${name}: ${entries} index entries in its lowest ${counted(layers.length, 'layer')}, at most ${MAX_STACK_ENTRIES} in a stack`,
  );
}

/**
 * Reads the indexes of all layers, bottom first.
 * @param sink gets every broken rule; with the default of the openers the first one is thrown
 * @throws OverlaybdError LIMIT before it reads anything, and what the layers throw
 */
export async function readStack(
  layers: readonly LsmtLayer[],
  name: string,
  effort: Effort,
  sink?: ProblemSink,
): Promise<EntryLog> {
  checkStackEntries(layers, name);
  // If a layer occurs twice, the upper one hides everything that the lower one maps.
  const read = layers.filter((layer, i) => layers.lastIndexOf(layer) === i);
  const log = new EntryLog(read.reduce((sum, { capacity }) => sum + capacity, 0));
  const targets = targetNumbers(layers);
  for (const [number, layer] of layers.entries()) {
    if (layers.lastIndexOf(layer) !== number) continue;
    await layer.readEntries(log, number, effort, sink, targets[number] ?? number);
  }
  return log;
}

/**
 * The numbers that targets of layers get: they follow those of the layers.
 * @returns one a layer; null for a layer without a target
 * @internal for its unit test
 */
export function targetNumbers(layers: readonly Pick<LsmtLayer, 'hasTarget'>[]): (number | null)[] {
  let next = layers.length;
  return layers.map(({ hasTarget }) => (hasTarget ? next++ : null));
}
