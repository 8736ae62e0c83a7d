// `--formats`: one container image in every lazy format. Its measurements, its tables, its document.
import { join } from 'node:path';
import type { Document } from '../docs.js';
import type { BenchOptions } from '../options.js';
import { cellsOf, table } from '../report.js';
import { spreadOf } from '../summary.js';
import { measureFormatsCached, SMALL_PART, type FormatCached } from './cached.js';
import { measureFormatsCold, type FormatSample, type FormatsCold } from './cold.js';
import { FORMATS, formatImages, type FormatImages } from './images.js';
import { MANY, measureManyFiles, type ManyFiles } from './many-files.js';
import { imageFiles } from './tree.js';

const MIB = 1 << 20;

export interface FormatsResult {
  /** Milliseconds. */
  readonly latency: number;
  /** Bytes a second. */
  readonly rate: number;
  /** Bytes of all files, and how many they are. */
  readonly image: { readonly bytes: number; readonly files: number };
  readonly images: FormatImages;
  readonly cold: FormatsCold;
  readonly cached: readonly FormatCached[];
  readonly many: readonly ManyFiles[];
}

/** @param folder for sockets, caches and mounts */
export async function measureFormats(
  options: Pick<BenchOptions, 'rounds' | 'seconds' | 'latency' | 'rate' | 'size' | 'dir'>,
  folder: string,
  say: (line: string) => void,
): Promise<FormatsResult> {
  const { latency, rate, size, dir } = options;
  const files = imageFiles(size * MIB);
  const kept = join(dir, `formats-${size}mb`);
  const images = await formatImages(kept, () => files, say);
  const cold = await measureFormatsCold(options, join(kept, 'layout'), files, folder, say);
  const cached = await measureFormatsCached({ ...options, rounds: 1 }, images, folder, say);
  const many = await measureManyFiles(join(dir, 'formats-many'), folder, say);
  const image = { bytes: size * MIB, files: files.length };
  return { latency, rate, image, images, cold, cached, many };
}

export function formatsTables({ images, cold, cached, many }: FormatsResult): string[] {
  return [coldTable(cold, images), cachedTable(cached), manyTable(many)];
}

function coldTable({ samples, skipped, start }: FormatsCold, images: FormatImages): string {
  const rivals = [...FORMATS, { name: 'pull' as const, about: 'whole pull, unpacked' }];
  const body = rivals.map(({ name, about }) => {
    const own = samples.filter(({ rival }) => rival === name);
    const size = images[name === 'pull' ? 'plain' : name].layerSize;
    const why = skipped.find(({ rival }) => rival === name)?.why;
    if (own.length === 0) return [`${about}: not measured: ${why ?? 'no time'}`, ...NOTHING];
    return [
      about,
      (size / MIB).toFixed(0),
      ...cellsOf(spreadOf(own.map(({ first }) => first.seconds)), 2),
      median(own, ({ first }) => first.requests).toFixed(0),
      (median(own, ({ first }) => first.bytes) / MIB).toFixed(1),
      median(own, ({ start: { seconds } }) => seconds).toFixed(2),
      (median(own, ({ start: { bytes } }) => bytes) / MIB).toFixed(1),
    ];
  });
  const all = `${start.files} files, ${(start.bytes / MIB).toFixed(1)} MiB: s`;
  const first = ['first file: s', 'min', 'max', 'requests', 'MiB fetched'];
  return table([['Cold image', 'layer, MiB', ...first, all, 'MiB fetched'], ...body]);
}

function median(own: readonly FormatSample[], of: (sample: FormatSample) => number): number {
  return spreadOf(own.map((sample) => of(sample))).median;
}

const NOTHING = Array<string>(8).fill('-');

function cachedTable(samples: readonly FormatCached[]): string {
  const body = FORMATS.map(({ name, about }) => {
    const own = samples.filter((sample) => sample.name === name);
    const cell = (of: (sample: FormatCached) => number): string =>
      spreadOf(own.map((sample) => of(sample))).median.toFixed(0);
    return [about, cell(({ part }) => part), cell(({ all }) => all)];
  });
  const part = `in ${SMALL_PART / MIB} MiB`;
  return table([['4 KiB random, QD16, all blobs here: IOPS', part, 'in all of it'], ...body]);
}

function manyTable(many: readonly ManyFiles[]): string {
  const body = many.map(({ about, size, milliseconds, bytes }) => [
    about,
    (size / MIB).toFixed(1),
    ...cellsOf(spreadOf(milliseconds), 0),
    ...cellsOf(spreadOf(bytes), 1, MIB),
  ]);
  const times = ['exec to first read: ms', 'min', 'max'];
  const memory = ['memory: MiB', 'min', 'max'];
  return table([[`${MANY} files in one layer`, 'layer, MiB', ...times, ...memory], ...body]);
}

export function formatsDocument(
  result: FormatsResult,
  preamble: string,
  machine: object,
): Document {
  const { latency, rate, image } = result;
  const about =
    `${preamble} The registry answers after ${latency} ms and sends ${rate / 1e6} MB/s; ` +
    `the image has ${image.files} files of ${(image.bytes / MIB).toFixed(0)} MiB in one layer.`;
  return {
    section: 'formats',
    markdown: [about, ...formatsTables(result)].join('\n\n'),
    charts: [],
    data: { machine, ...result },
  };
}
