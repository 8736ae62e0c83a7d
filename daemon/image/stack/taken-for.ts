// For people: which formats the layers of files of an image were taken for, and why.

import type { OpenedLayer } from './open-stack.js';

/** Formats that one line names. */
const MAX_NAMED = 4;

/**
 * Equal ones together: "2 as tar.gz, by gzip of an archive; 1 as eStargz, by a footer of 51 bytes".
 * @param layers bottom first
 */
export function takenFor(layers: readonly Pick<OpenedLayer, 'content'>[]): string {
  const counts = new Map<string, number>();
  for (const { content } of layers) {
    if (content.kind !== 'tree') continue;
    // What follows is of one layer alone.
    const [format = ''] = content.format.split('; ', 1);
    counts.set(format, (counts.get(format) ?? 0) + 1);
  }
  const all = [...counts].map(([format, count]) => `${count} as ${format}`);
  const more = [...counts.values()].slice(MAX_NAMED).reduce((sum, count) => sum + count, 0);
  return [...all.slice(0, MAX_NAMED), ...(more > 0 ? [`${more} in other formats`] : [])].join('; ');
}
