// The tree of a layer as sections of a record, and back.

import { OverlaybdError } from '../errors.js';
import type { HeapBudget } from '../lib/heap-budget.js';
import type { Section, SectionReader, Sections } from '../lib/sections.js';
import { DEVICE_BYTES, LayerTree } from './layer-tree.js';
import { LinkTargets } from './link-targets.js';
import { TextColumn } from './text-column.js';
import { byteSections, bytesOf, lengthsOf, textSections, textsOf } from './text-list.js';
import { heapBytesOfSets, XattrSet } from './xattrs.js';

export function treeSections({ columns, sourceCount }: LayerTree): Sections {
  const { count, xattrSets, rangeStarts } = columns;
  const ranges = rangeStarts[count] as number;
  const paths = columns.paths.parts(count);
  const targets = columns.targets.parts();
  const sections: [string, Section][] = [
    // The numbers that no other section gives.
    ['tree', Float64Array.of(count, ranges, sourceCount, columns.bytes)],
    ['types', columns.types.subarray(0, count)],
    ['modes', columns.modes.subarray(0, count)],
    ['uids', columns.uids.subarray(0, count)],
    ['gids', columns.gids.subarray(0, count)],
    ['mtimes', columns.mtimes.subarray(0, count)],
    ['nanoseconds', columns.nanoseconds.subarray(0, count)],
    ['sizes', columns.sizes.subarray(0, count)],
    ['xattrs', columns.xattrs.subarray(0, count)],
    ['positions', columns.positions.subarray(0, count)],
    ['rangeStarts', rangeStarts.subarray(0, count + 1)],
    ['rangeFileOffsets', columns.rangeFileOffsets.subarray(0, ranges)],
    ['rangeLengths', columns.rangeLengths.subarray(0, ranges)],
    ['rangeSources', columns.rangeSources.subarray(0, ranges)],
    ['rangeOffsets', columns.rangeOffsets.subarray(0, ranges)],
    ['rdevs', Uint32Array.from([...columns.rdevs].flat())],
    ['targets', targets.entries],
    ['xattrCounts', Uint32Array.from(xattrSets, ({ names }) => names.length)],
    ['paths.lengths', paths.lengths],
    ['paths.bytes', paths.bytes],
    ['targetTexts.lengths', targets.lengths],
    ['targetTexts.bytes', targets.bytes],
    ...textSections(
      'xattrNames',
      xattrSets.flatMap(({ names }) => names),
    ),
    ...byteSections(
      'xattrValues',
      xattrSets.flatMap(({ values }) => values),
    ),
  ];
  return new Map(sections);
}

/**
 * @param name of the layer's blob, for messages
 * @param heap what the layers of the image may have on the heap
 * @throws OverlaybdError BAD_FORMAT, LIMIT
 */
export function treeOfSections(
  sections: SectionReader,
  name: string,
  heap?: HeapBudget,
): LayerTree {
  const [count = 0, ranges = 0, sourceCount = 0, bytes = 0] = sections.take(
    'tree',
    Float64Array,
    4,
  );
  const rdevs = sections.take('rdevs', Uint32Array);
  const targets = sections.take('targets', Uint32Array);
  const setBytes = heapBytesOfSets(
    sections.take('xattrCounts', Uint32Array).length,
    lengthsOf('xattrNames', sections),
    lengthsOf('xattrValues', sections),
  );
  if (heap && !heap.take(setBytes + (DEVICE_BYTES * rdevs.length) / 2)) {
    const text = `${name}: devices and different sets of extended attributes of all layers take more than ${heap.most} bytes of memory`;
    throw new OverlaybdError('LIMIT', text, { facts: { blob: name } });
  }
  const columns = {
    count,
    bytes,
    paths: TextColumn.of(...takeTexts('paths', sections, count)),
    types: sections.take('types', Uint8Array, count),
    modes: sections.take('modes', Uint16Array, count),
    uids: sections.take('uids', Uint32Array, count),
    gids: sections.take('gids', Uint32Array, count),
    mtimes: sections.take('mtimes', Float64Array, count),
    nanoseconds: sections.take('nanoseconds', Uint32Array, count),
    sizes: sections.take('sizes', Float64Array, count),
    rdevs: new Map(
      Array.from({ length: rdevs.length / 2 }, (_, i) => [
        rdevs[2 * i] as number,
        rdevs[2 * i + 1] as number,
      ]),
    ),
    targets: LinkTargets.of(targets, ...takeTexts('targetTexts', sections, targets.length)),
    xattrs: sections.take('xattrs', Uint32Array, count),
    xattrSets: xattrSetsOf(sections),
    positions: sections.take('positions', Float64Array, count),
    rangeStarts: sections.take('rangeStarts', Uint32Array, count + 1),
    rangeFileOffsets: sections.take('rangeFileOffsets', Float64Array, ranges),
    rangeLengths: sections.take('rangeLengths', Float64Array, ranges),
    rangeSources: sections.take('rangeSources', Uint8Array, ranges),
    rangeOffsets: sections.take('rangeOffsets', Float64Array, ranges),
  };
  return new LayerTree(name, columns, sourceCount);
}

/** @throws OverlaybdError BAD_FORMAT */
function takeTexts(
  name: string,
  sections: SectionReader,
  count: number,
): [Uint32Array, Uint8Array] {
  const lengths = sections.take(`${name}.lengths`, Uint32Array, count);
  const size = lengths.reduce((sum, each) => sum + each, 0);
  return [lengths, sections.take(`${name}.bytes`, Uint8Array, size)];
}

function xattrSetsOf(sections: SectionReader): XattrSet[] {
  const names = textsOf('xattrNames', sections);
  const values = bytesOf('xattrValues', sections);
  let at = 0;
  return Array.from(sections.take('xattrCounts', Uint32Array), (count) => {
    const end = at + count;
    const set = new XattrSet(names.slice(at, end), values.slice(at, end));
    at = end;
    return set;
  });
}
