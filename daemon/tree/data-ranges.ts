// Ranges of data of one file, while they are collected.

import type { DataRange } from './layer-tree.js';

/** Joins a range to the last one if it goes on where that one ends: most files have one range. */
export function appendRange(data: DataRange[], range: DataRange): void {
  const last = data.at(-1);
  const goesOn =
    last?.source === range.source &&
    last.fileOffset + last.length === range.fileOffset &&
    last.offset + last.length === range.offset;
  if (last && goesOn) data[data.length - 1] = { ...last, length: last.length + range.length };
  else data.push(range);
}
