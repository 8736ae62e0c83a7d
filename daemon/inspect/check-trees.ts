// Whether the trees of an image's layers fit together.

import { UNBOUNDED } from '../lib/effort.js';
import type { OpenedLayer } from '../image/stack/open-stack.js';
import { treeImage } from '../image/stack/tree-image.js';
import type { ProblemList } from './problem-list.js';

/**
 * The layers may be good one by one, and not fit together.
 * @param isWhole whether these are all layers of the image
 * @returns notes, as `serve` logs them. What is missing is a problem, and is not among them
 */
export function checkTrees(
  name: string,
  layers: readonly OpenedLayer[],
  problems: ProblemList,
  isWhole: boolean,
  isAlone: boolean,
): readonly string[] {
  const own = layers.flatMap(({ content }) => (content.kind === 'tree' ? content.notes : []));
  if (!isWhole) return own;
  try {
    const { notes } = treeImage(layers, name, [], UNBOUNDED, isAlone);
    const missing = new Set(layers.map((layer) => layer.missing?.message));
    return notes.filter((note) => !missing.has(note));
  } catch (error) {
    problems.addError(null, error);
    return own;
  }
}
