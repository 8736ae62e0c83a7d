// Facts about an image as text for people: one aligned table for the image and one a layer. Pure.

import { counted } from '../lib/counted.js';
import { exactSize, humanSize } from '../lib/format-size.js';
import type { Contribution, ImageFacts } from './image-facts.js';
import type {
  IndexFacts,
  LayerFacts,
  LsmtFacts,
  PageFacts,
  TurboFacts,
  ZfileFacts,
} from './layer-facts.js';
import type { ErofsFacts, TreeFacts } from './tree-facts.js';
import type { PartitionFacts } from './partition-facts.js';
import { printable, quoted } from '../lib/printable.js';

type Row = readonly [label: string, value: string];

const LABEL_WIDTH = 15;

/** Ends with a line feed. */
export function renderFacts(facts: ImageFacts): string {
  const parts = [table(printable(facts.name), imageRows(facts))];
  facts.layers.forEach((layer, i) => {
    const role = layer.role === 'upper' ? ' (upper)' : '';
    const title = `layer ${i}${role}: ${printable(layer.path)}`;
    parts.push(table(title, layerRows(layer, facts.device?.contributions[i])));
  });
  if (facts.partitions) parts.splice(1, 0, table('partitions', partitionRows(facts.partitions)));
  return `${parts.join('\n\n')}\n`;
}

function table(title: string, rows: readonly Row[]): string {
  const lines = rows.map(([label, value]) => `  ${label.padEnd(LABEL_WIDTH)} ${value}`);
  return [title, ...lines].join('\n');
}

function imageRows(facts: ImageFacts): Row[] {
  const rows: Row[] = [
    ['virtual size', facts.virtualSize > 0 ? exactSize(facts.virtualSize) : 'not known'],
  ];
  const { device } = facts;
  if (device) {
    rows.push(
      ['layers', `${facts.layers.length}`],
      ['merged index', counted(device.segments, 'segment')],
      ['mapped', exactSize(device.mappedBytes)],
      ['zeroed', exactSize(device.zeroedBytes)],
      ['holes', exactSize(device.holeBytes)],
    );
  }
  if (facts.erofs) rows.push(...erofsRows(facts.erofs));
  else if (facts.filesystem !== null) rows.push(['file system', facts.filesystem]);
  rows.push(['files', exactSize(facts.fileBytes)]);
  if (facts.ratio !== null) {
    const of = device ? 'of what is mapped' : 'of the virtual size';
    rows.push(['ratio', `${percent(facts.ratio)} ${of}`]);
  }
  if (facts.possibleParents > 0 && !facts.erofs) {
    const { linkedParents, possibleParents } = facts;
    const text = `${linkedParents} of ${counted(possibleParents, 'link')} to the layer below`;
    rows.push(['uuid chain', `${text} (for information: no reader checks it)`]);
  }
  for (const note of facts.notes) rows.push(['note', printable(note)]);
  return rows;
}

function layerRows(layer: LayerFacts, contribution: Contribution | undefined): Row[] {
  const rows: Row[] = [];
  if (layer.indexPath !== null) rows.push(['index file', printable(layer.indexPath)]);
  rows.push(['file size', exactSize(layer.fileBytes)]);
  if (layer.tar) {
    const { format, payloadOffset, payloadBytes } = layer.tar;
    rows.push(['tar', `${format}, payload at ${payloadOffset}, ${exactSize(payloadBytes)}`]);
  }
  if (layer.zfile) rows.push(...zfileRows(layer.zfile));
  if (layer.turbo) rows.push(...turboRows(layer.turbo));
  if (layer.lsmt) rows.push(...lsmtRows(layer.lsmt));
  else if (layer.tree) rows.push(...treeRows(layer.tree));
  else rows.push(['content', `raw disk image${layer.disk === null ? '' : ` (${layer.disk})`}`]);
  if (contribution) {
    const { mappedBytes, zeroedBytes } = contribution;
    const parts = [`${exactSize(mappedBytes)} mapped`, `${exactSize(zeroedBytes)} zeroed`];
    rows.push(['in the device', parts.join(', ')]);
  }
  return rows;
}

function partitionRows({ table: kind, sectorSize, partitions }: PartitionFacts): Row[] {
  const rows = partitions.map(({ number, offset, bytes, type, name, problem }): Row => {
    const title = name === '' ? '' : `, ${quoted(name)}`;
    const text = `at ${offset}, ${exactSize(bytes)}, type ${type}${title}`;
    return [`${number}`, problem === null ? text : `cannot be used: ${printable(problem)}`];
  });
  return [['table', `${kind}, sectors of ${sectorSize} bytes`], ...rows];
}

function zfileRows(zfile: ZfileFacts): Row[] {
  const checks = [
    `${zfile.verify ? 'with' : 'no'} block checksums`,
    `${zfile.digest ? 'with' : 'no'} digest`,
  ].join(', ');
  const size = humanSize(zfile.blockSize);
  const ratio = zfile.ratio === null ? '' : `, ${percent(zfile.ratio)}`;
  return [
    ['zfile', `${zfile.algorithm}, ${size} blocks, ${zfile.mode} mode, ${checks}`],
    ['zfile blocks', `${zfile.blocks}`],
    ['original size', exactSize(zfile.originalBytes)],
    ['stored', `${exactSize(zfile.storedBytes)}${ratio}`],
  ];
}

function lsmtRows(lsmt: LsmtFacts): Row[] {
  const rows: Row[] = [
    ['lsmt', lsmt.kind],
    ['header', pageText(lsmt.header)],
  ];
  if (lsmt.trailer) rows.push(['trailer', pageText(lsmt.trailer)]);
  if (lsmt.indexHeader) rows.push(['index header', pageText(lsmt.indexHeader)]);
  if (lsmt.index) rows.push(...indexRows(lsmt.index));
  const parent = {
    'layer below': ' (the layer below)',
    another: ' (not the layer below)',
    none: '',
  };
  rows.push(
    ['virtual size', exactSize(lsmt.virtualSize)],
    ['uuid', printable(lsmt.uuid) || 'none'],
    ['parent uuid', `${printable(lsmt.parentUuid) || 'none'}${parent[lsmt.parent]}`],
    ['user tag', lsmt.userTag === '' ? 'none' : quoted(lsmt.userTag)],
  );
  return rows;
}

function turboRows({ target, targetBytes, gzipIndex, plainBytes, spans }: TurboFacts): Row[] {
  const rows: Row[] = [
    ['turboOCI', 'its index maps ranges of the plain bytes of a target'],
    ['target', `${printable(target)}, ${exactSize(targetBytes)}`],
  ];
  if (gzipIndex === null || spans === null) return rows;
  const inflated = `${counted(spans, 'span')}, ${exactSize(plainBytes)} inflated`;
  return [...rows, ['gzip index', `${printable(gzipIndex)}, ${inflated}`]];
}

function treeRows(tree: TreeFacts): Row[] {
  const { format, files, contentBytes, directories, symlinks, hardLinks, nodes, whiteouts } = tree;
  const others = [
    counted(directories, 'directory', 'directories'),
    counted(symlinks, 'symlink'),
    counted(hardLinks, 'hard link'),
    counted(nodes, 'device or pipe', 'devices and pipes'),
    counted(whiteouts, 'whiteout'),
  ];
  return [
    ['content', `files (${format})`],
    ['files', `${files}, ${exactSize(contentBytes)}`],
    ['others', others.join(', ')],
  ];
}

function erofsRows(erofs: ErofsFacts): Row[] {
  const { layoutVersion, uuid, inodes, metadataBytes } = erofs;
  return [
    ['file system', `EROFS for Linux 5.4 and later, layout ${layoutVersion}, ${uuid}`],
    ['metadata', `${counted(inodes, 'inode')}, ${exactSize(metadataBytes)}`],
  ];
}

function pageText(page: PageFacts): string {
  const flags = page.flags.join(' ') || 'none';
  const index = `index at ${page.indexOffset}, ${page.indexSize} entries`;
  return `version ${page.version}, ${index}, flags: ${flags}`;
}

function indexRows(index: IndexFacts): Row[] {
  const segments = `${index.dataSegments} data, ${index.zeroedSegments} zeroed`;
  return [
    ['index', `${index.entries} entries, and ${index.paddingEntries} that are padding`],
    ['segments', segments],
    ['mapped', exactSize(index.mappedBytes)],
    ['zeroed', exactSize(index.zeroedBytes)],
  ];
}

function percent(ratio: number): string {
  return `${(ratio * 100).toFixed(1)} %`;
}
