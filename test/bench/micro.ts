// `--micro`: the measurements within one process, as tables, chart and document.
import type { Document } from './docs.js';
import { lineChart } from './line-chart.js';
import { measureCrc, measureDecoding, type CrcRate, type DecodeRate } from './micro-codec.js';
import { measureLookups, type LookupRates } from './micro-lookup.js';
import { measureTables, type TableRates } from './micro-tables.js';
import { cellsOf, table } from './report.js';

const MILLION = 1e6;
const LOOKUP_TITLE = 'Lookups in a merged index';

export interface MicroResult {
  lookups: LookupRates[];
  tables: TableRates;
  crc: CrcRate[];
  decoding: DecodeRate[];
}

export function measureMicro(say: (line: string) => void): MicroResult {
  say('lookups');
  const lookups = measureLookups();
  say('jump table, requests');
  const tables = measureTables();
  say('CRC-32C, decoding');
  return { lookups, tables, crc: measureCrc(), decoding: measureDecoding() };
}

function head(what: string): string[] {
  return [what, 'median', 'min', 'max'];
}

export function microTables({ lookups, tables, crc, decoding }: MicroResult): string {
  const lookupRows = lookups.flatMap(({ segments, random, sequential, binary }) => [
    [`${segments} segments, random`, ...cellsOf(random, 1, MILLION)],
    [`${segments} segments, sequential`, ...cellsOf(sequential, 1, MILLION)],
    [`${segments} segments, random, plain binary search`, ...cellsOf(binary, 1, MILLION)],
  ]);
  const otherRows = [
    ...tables.jumpTable.map(({ blocks, rate }) => [
      `jump table of ${blocks} blocks, random`,
      ...cellsOf(rate, 1, MILLION),
    ]),
    ['NBD requests parsed', ...cellsOf(tables.parsing, 1, MILLION)],
  ];
  const crcRows = crc.map(({ length, rate }) => [
    `CRC-32C of ${length} bytes`,
    ...cellsOf(rate, 0, MILLION),
  ]);
  const decodeRows = decoding.map(({ algorithm, blockSize, blocks, decoder, rate }) => [
    `${algorithm}, ${blockSize / 1024} KiB x ${blocks}, decoder ${decoder}`,
    ...cellsOf(rate, 0, MILLION),
  ]);
  return [
    table([head('Merged index: lookups, M/s'), ...lookupRows]),
    table([head('Tables and requests, M/s'), ...otherRows]),
    table([head('Checksums and decoding (CRCs checked): plain MB/s'), ...crcRows, ...decodeRows]),
  ].join('\n\n');
}

export function microDocument(result: MicroResult, preamble: string, machine: object): Document {
  const series = (['random', 'sequential', 'binary'] as const).map((what) => ({
    label: what === 'binary' ? 'binary search, random' : what,
    points: result.lookups.map((each) => [each.segments, each[what].median / MILLION] as const),
  }));
  const ticks = result.lookups.map(({ segments }) => segments);
  const axes = { x: 'segments', y: 'million lookups a second', ticks, logarithmic: true };
  return {
    section: 'micro',
    markdown: [preamble, microTables(result)].join('\n\n'),
    charts: [{ name: 'lookup', title: LOOKUP_TITLE, svg: lineChart(LOOKUP_TITLE, axes, series) }],
    data: { machine, ...result },
  };
}
